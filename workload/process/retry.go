package process

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// retry calls try until it succeeds or life is done, at least once.
func (m *Manager) retry(life context.Context, what string, try func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, 15*time.Second
	_, err := backoff.Retry(life, func() (struct{}, error) { return struct{}{}, try() },
		backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) {
			m.cfg.Logger.Warn("will try again", "to", what, "after", wait, "error", err)
		}))
	return err
}
