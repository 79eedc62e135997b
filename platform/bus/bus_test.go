package bus_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/bus"
)

const token = "a-token-for-tests"

// childDir makes this test binary the child of TestAcknowledgedSurvivesKill.
const childDir = "REFIT_BUS_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := publishForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func start(t *testing.T, dir string) *bus.Bus {
	t.Helper()
	b, err := bus.Start(t.Context(), bus.Config{Dir: dir, Token: token})
	require.NoError(t, err)
	return b
}

func stream(ctx context.Context, b *bus.Bus) (jetstream.Stream, error) {
	return b.JetStream().CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
}

func TestStartListensOnLoopbackWithTheToken(t *testing.T) {
	b := start(t, t.TempDir())
	defer func() { require.NoError(t, b.Close()) }()

	host, _, err := net.SplitHostPort(strings.TrimPrefix(b.URL(), "nats://"))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)

	_, err = nats.Connect(b.URL())
	require.ErrorIs(t, err, nats.ErrAuthorization)
	_, err = nats.Connect(b.URL(), nats.Token("another"))
	require.ErrorIs(t, err, nats.ErrAuthorization)

	conn, err := nats.Connect(b.URL(), nats.Token(token))
	require.NoError(t, err)
	conn.Close()
}

func TestStoreSurvivesClose(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	_, err := stream(t.Context(), b)
	require.NoError(t, err)
	_, err = b.JetStream().Publish(t.Context(), "s", []byte("kept"))
	require.NoError(t, err)
	require.NoError(t, b.Close())

	b = start(t, dir)
	defer func() { require.NoError(t, b.Close()) }()
	s, err := stream(t.Context(), b)
	require.NoError(t, err)
	message, err := s.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "kept", string(message.Data))
}

func TestCloseTwiceIsHarmless(t *testing.T) {
	b := start(t, t.TempDir())
	require.NoError(t, b.Close())
	require.NoError(t, b.Close())
}

func TestStoreIsForOneProcess(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	_, err := bus.Start(t.Context(), bus.Config{Dir: dir, Token: token})
	require.ErrorContains(t, err, "is in use by another process")
	require.NoError(t, b.Close())
	require.NoError(t, start(t, dir).Close())
}

func TestStartRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port

	tests := map[string]struct {
		config bus.Config
		want   string
	}{
		"no folder":               {bus.Config{Token: token}, "Dir is empty"},
		"no token":                {bus.Config{Dir: t.TempDir()}, "Token is empty"},
		"an address of the world": {bus.Config{Dir: t.TempDir(), Token: token, Host: "0.0.0.0"}, `"0.0.0.0" is not a loopback address`},
		"a port out of range":     {bus.Config{Dir: t.TempDir(), Token: token, Port: 70000}, "Port 70000"},
		"a port in use":           {bus.Config{Dir: t.TempDir(), Token: token, Port: port}, "address already in use"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := bus.Start(t.Context(), test.config)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), token)
		})
	}
}

// TestAcknowledgedSurvivesKill kills a process in the middle of publishing and
// finds every message that it saw acknowledged.
func TestAcknowledgedSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	child.Stderr = os.Stderr
	require.NoError(t, child.Start())

	acknowledged := 0
	lines := bufio.NewScanner(out)
	for acknowledged < 500 && lines.Scan() {
		acknowledged++
	}
	require.NoError(t, child.Process.Kill())
	for lines.Scan() {
		acknowledged++
	}
	var exit *exec.ExitError
	require.ErrorAs(t, child.Wait(), &exit, "the child is killed, not done")
	require.GreaterOrEqual(t, acknowledged, 500)

	b := start(t, dir)
	defer func() { require.NoError(t, b.Close()) }()
	s, err := b.JetStream().Stream(t.Context(), "S")
	require.NoError(t, err)
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, info.State.Msgs, uint64(acknowledged))
}

// publishForever prints a line for each acknowledged message until it is killed.
func publishForever(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b, err := bus.Start(ctx, bus.Config{Dir: dir, Token: token})
	if err != nil {
		return err
	}
	if _, err := stream(ctx, b); err != nil {
		return err
	}
	for {
		ack, err := b.JetStream().Publish(ctx, "s", []byte("message"))
		if err != nil {
			return err
		}
		fmt.Println(ack.Sequence)
	}
}
