package store_test

import (
	"testing"

	"refit.dev/stage/store"
	"refit.dev/stage/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Bucket { return new(store.Memory) })
}
