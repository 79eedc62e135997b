package host

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryIsLimitedUnlessTheEnvironmentSaysOtherwise(t *testing.T) {
	const before = 123
	original := debug.SetGCPercent(before)
	defer debug.SetGCPercent(original)

	t.Setenv("GOGC", "200")
	LimitMemory()
	require.Equal(t, before, debug.SetGCPercent(before))

	t.Setenv("GOGC", "")
	LimitMemory()
	require.Equal(t, GCPercent, debug.SetGCPercent(before))
}
