package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"refit.dev/stage/store"
)

// racers write one object at once.
const racers = 16

// Race lets sixteen writers create one object at once and counts those who
// were told that they did. A store that honours If-None-Match has one winner;
// refit decides everything by such writes.
func Race(ctx context.Context, b store.Bucket, key string) (winners int, err error) {
	var group sync.WaitGroup
	begin := make(chan struct{})
	outcomes := make([]error, racers)
	for i := range racers {
		group.Go(func() {
			<-begin
			outcomes[i] = b.Create(ctx, key, fmt.Appendf(nil, "writer %d", i))
		})
	}
	close(begin)
	group.Wait()
	for _, outcome := range outcomes {
		switch {
		case outcome == nil:
			winners++
		case !errors.Is(outcome, store.ErrExists):
			return winners, fmt.Errorf("race for %s: %w", key, outcome)
		}
	}
	return winners, nil
}
