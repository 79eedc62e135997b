package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
)

// patient is a doctor on a machine where everything is well.
func patient(t *testing.T) *doctor {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string]string{"docker/requirements.txt": "lock", ".venv/refit-requirements.txt": "lock"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600))
	}
	app := (&App{dir: filepath.Join(dir, "data")}).withDefaults()
	return &doctor{
		app: app, config: host.Config{Host: "127.0.0.1", Source: dir, Python: filepath.Join(dir, ".venv", "bin", "python")},
		command: func(_ context.Context, name string, _ ...string) ([]byte, error) {
			if name == "go" {
				return []byte("go1.26.0\n"), nil
			}
			return []byte(`a warning` + "\n" + `{"python":"3.12.1","ray":"2.60.0","mlflow":"3","feast":"0.67","xgboost":"3.2"}` + "\n"), nil
		},
	}
}

func states(checks []check) map[string]string {
	all := map[string]string{}
	for _, c := range checks {
		all[c.Name] = c.State
	}
	return all
}

func TestDoctorFindsAWellMachine(t *testing.T) {
	for name, state := range states(patient(t).machine(t.Context())) {
		if name != "disk space" { // is the test machine's own
			require.Equal(t, checkOK, state, name)
		}
	}
}

func TestDoctorSaysHowToGetWhatIsMissing(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	address, isTCP := listener.Addr().(*net.TCPAddr)
	require.True(t, isTCP)
	taken := address.Port
	answer := func(text string, err error) func(*doctor) {
		return func(d *doctor) {
			d.command = func(context.Context, string, ...string) ([]byte, error) { return []byte(text), err }
		}
	}
	tests := map[string]struct {
		ill        func(*doctor)
		name       string
		wantState  string
		wantFound  string
		wantAdvice string
	}{
		"no Go":            {answer("", errors.New("not found")), "Go", checkAdvice, "no go", "go.dev/dl"},
		"an old Go":        {answer("go1.21.3", nil), "Go", checkAdvice, "go1.21.3", "1.26"},
		"no Python":        {answer("", errors.New("no such file")), "Python", checkMissing, "no such file", "make setup"},
		"an old Python":    {answer(`{"python":"3.9.1"}`, nil), "Python", checkMissing, "3.9.1", "3.11"},
		"a broken package": {answer(`{"python":"3.11.1","ray":"! ImportError: libx.so"}`, nil), "ray", checkMissing, "libx.so", "make setup"},
		"an old environment": {func(d *doctor) {
			_ = os.WriteFile(filepath.Join(d.config.Source, ".venv/refit-requirements.txt"), nil, 0o600)
		}, "locked environment", checkMissing, "older", "make setup"},
		"no environment": {func(d *doctor) { _ = os.Remove(filepath.Join(d.config.Source, ".venv/refit-requirements.txt")) }, "locked environment", checkMissing, "no finished", "make setup"},
		"another folder": {func(d *doctor) { d.config.Source = "/nowhere" }, "locked environment", checkMissing, "/nowhere", "--source"},
		"a port in use": {
			func(d *doctor) { d.config.Ports.NATS = taken }, "port " + strconv.Itoa(taken), checkMissing, fmt.Sprintf("process %d", os.Getpid()), "--port-nats",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := patient(t)
			test.ill(d)
			for _, c := range d.machine(t.Context()) {
				if c.Name == test.name {
					require.Equal(t, test.wantState, c.State)
					require.Contains(t, c.Found, test.wantFound)
					require.Contains(t, c.Advice, test.wantAdvice)
					return
				}
			}
			t.Fatalf("nothing is said about %s", test.name)
		})
	}
}

func TestDoctorTriesAStoreOfItsOwn(t *testing.T) {
	d := patient(t)
	checks := d.platform(t.Context())
	require.Equal(t, map[string]string{"object store": checkOK, "platform": checkAdvice}, states(checks))
	left, err := filepath.Glob(filepath.Join(d.config.Source, ".refit-doctor-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// forgetful is a journal that gets events from a server, or loses them.
type forgetful struct {
	got  chan event.Event
	lost error
}

func (f *forgetful) Events(context.Context, journal.Filter) ([]event.Event, error) {
	return nil, f.lost
}

func (f *forgetful) Follow(_ context.Context, _ journal.Filter, do func(event.Event) error) error {
	if f.lost != nil {
		return f.lost
	}
	if err := do(<-f.got); !errors.Is(err, journal.ErrStop) {
		return err
	}
	return nil
}

func TestDoctorTriesARunningPlatform(t *testing.T) {
	for name, test := range map[string]struct {
		lost  error
		state store.Bucket
		want  map[string]string
	}{
		"that is well": {nil, &store.Memory{}, map[string]string{"object store": checkOK, "NATS JetStream": checkOK, "broker": checkOK}},
		"that is ill":  {errors.New("no responders"), overwriting{&store.Memory{}}, map[string]string{"object store": checkMissing, "NATS JetStream": checkMissing, "broker": checkMissing}},
	} {
		t.Run(name, func(t *testing.T) {
			j := &forgetful{got: make(chan event.Event, 1), lost: test.lost}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if e, err := cehttp.NewEventFromHTTPRequest(r); err == nil {
					j.got <- *e
				}
				w.WriteHeader(http.StatusAccepted)
			}))
			defer server.Close()
			d := patient(t)
			removed := 0
			d.session = &Session{
				Broker: func(context.Context) (string, error) { return server.URL, nil }, Journal: j, State: test.state,
				Remove: func(context.Context, string) error { removed++; return nil },
			}
			require.Equal(t, test.want, states(d.platform(t.Context())))
			require.Positive(t, removed)
			require.Empty(t, d.ports(), "its own ports are no news")
		})
	}
}

type overwriting struct{ *store.Memory }

func (o overwriting) Create(ctx context.Context, key string, body []byte) error {
	return o.Put(ctx, key, body)
}

func TestDoctorReport(t *testing.T) {
	var out bytes.Buffer
	a := &App{Out: &out}
	require.NoError(t, a.report([]check{ok("Go", "go1.26"), advice("disk space", "2 GiB free", "5 GiB leave room")}))
	require.Equal(t, "ok\tGo\tgo1.26\t\nadvice\tdisk space\t2 GiB free\t5 GiB leave room\n", out.String())
	out.Reset()
	a.json = true
	require.Equal(t, CodeError, codeOf(a.report([]check{missing("Python", "none", "run make setup")})))
	require.JSONEq(t, `{"ok":false,"checks":[{"name":"Python","state":"missing","found":"none","advice":"run make setup"}]}`, out.String())
}
