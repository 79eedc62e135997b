package serve_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/platform/serve"
)

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// get is the status and the body of a path, once there is an answer.
func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	require.Eventually(t, func() bool {
		response, err := http.Get(url)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		b, err := io.ReadAll(response.Body)
		code, body = response.StatusCode, string(b)
		return err == nil
	}, 10*time.Second, time.Millisecond)
	return code, body
}

func TestProbesAreAnsweredBesideTheHandler(t *testing.T) {
	var ready atomic.Bool
	c := serve.Config{Address: freeAddress(t), Logger: slog.New(slog.DiscardHandler), Handler: http.NotFoundHandler(), Ready: func() error {
		if !ready.Load() {
			return errors.New("the broker is not there")
		}
		return nil
	}}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		done <- serve.Run(ctx, c, func(ctx context.Context) error {
			<-ctx.Done()
			close(ended)
			return ctx.Err()
		})
	}()
	url := "http://" + c.Address
	code, body := get(t, url+serve.ReadinessPath)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "the broker is not there\n", body)
	code, _ = get(t, url+serve.LivenessPath)
	require.Equal(t, http.StatusOK, code)
	ready.Store(true)
	code, _ = get(t, url+serve.ReadinessPath)
	require.Equal(t, http.StatusOK, code)
	code, _ = get(t, url+"/")
	require.Equal(t, http.StatusNotFound, code)
	cancel(errors.New("interrupted"))
	require.NoError(t, <-done, "to be asked to end is no failure")
	<-ended
}

func TestATaskThatFailsEndsTheProgram(t *testing.T) {
	why := errors.New("the store is gone")
	c := serve.Config{Address: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}
	require.ErrorIs(t, serve.Run(t.Context(), c, func(context.Context) error { return why }), why)
}

func TestAnAddressInUseIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	require.ErrorContains(t, serve.Run(t.Context(), serve.Config{Address: l.Addr().String()}), "address already in use")
}

func TestSettingsNameAllThatIsWrong(t *testing.T) {
	env := map[string]string{"HERE": "x", "LONG": "2h", "WRONG": "soon", "NEGATIVE": "-1s"}
	s := serve.NewSettings(func(name string) string { return env[name] })
	require.Equal(t, "x", s.Required("HERE"))
	require.Equal(t, "y", s.Optional("GONE", "y"))
	require.Equal(t, 2*time.Hour, s.Duration("LONG", time.Minute))
	require.Equal(t, time.Minute, s.Duration("UNSET", time.Minute))
	require.NoError(t, s.Err())
	s.Required("A")
	s.Required("B")
	s.Duration("WRONG", time.Minute)
	s.Duration("NEGATIVE", time.Minute)
	require.EqualError(t, s.Err(), "settings A, B are missing: see the table of settings in README.md\n"+
		`setting WRONG="soon": accepted is a duration such as 90s`+"\n"+`setting NEGATIVE="-1s": accepted is a duration such as 90s`)
}
