package store_test

import (
	"context"
	"errors"
	"fmt"

	"refit.dev/stage/store"
)

// Whoever creates the object first has made the decision; all others read it.
func Example() {
	ctx, bucket := context.Background(), new(store.Memory)
	for _, who := range []string{"one", "two"} {
		err := bucket.Create(ctx, "claims/1", []byte(who))
		if errors.Is(err, store.ErrExists) {
			o, err := bucket.Get(ctx, "claims/1")
			fmt.Printf("%s finds the claim of %s %v\n", who, o.Body, err)
			continue
		}
		fmt.Println(who, "has the claim")
	}
	// Output:
	// one has the claim
	// two finds the claim of one <nil>
}
