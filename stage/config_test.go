package stage_test

import (
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/stage"
	"refit.dev/workload/process"
)

func settings(change map[string]string) map[string]string {
	env := map[string]string{
		"K_SINK": "http://127.0.0.1:1/default/refit", "REFIT_S3_ENDPOINT": "http://127.0.0.1:2", "AWS_ACCESS_KEY_ID": "key",
		"AWS_SECRET_ACCESS_KEY": "a secret", "REFIT_LAUNCHER_URL": "http://127.0.0.1:3", "REFIT_LAUNCHER_TOKEN": "token",
	}
	maps.Copy(env, change)
	return env
}

func TestAPlatformHasDefaults(t *testing.T) {
	p, err := stage.FromEnv(settings(nil))
	require.NoError(t, err)
	require.Equal(t, "refit", p.StateName)
	require.Equal(t, "landing", p.LandingName)
	require.Equal(t, "local", p.Image)
	require.Empty(t, p.Commit)
	require.Equal(t, time.Hour, p.Deadline)
	require.Equal(t, 3, p.Attempts)
	require.Equal(t, slog.Default(), p.Logger)
	require.WithinDuration(t, time.Now(), p.Clock(), time.Minute)
	require.Equal(t, &process.Client{URL: "http://127.0.0.1:3", Token: "token"}, p.Launcher)
	require.NotNil(t, p.State)
	require.NotNil(t, p.Landing)
	require.NotNil(t, p.Emitter)
}

func TestSettingsTakeThePlaceOfDefaults(t *testing.T) {
	p, err := stage.FromEnv(settings(map[string]string{
		"REFIT_BUCKET": "state", "REFIT_LANDING_BUCKET": "in", "REFIT_IMAGE": "train@sha256:1", "REFIT_COMMIT": "0123456",
		"REFIT_DEADLINE": "90m", "REFIT_LAUNCHER": "process", "OTHER": "kept",
	}))
	require.NoError(t, err)
	require.Equal(t, "state", p.StateName)
	require.Equal(t, "in", p.LandingName)
	require.Equal(t, "train@sha256:1", p.Image)
	require.Equal(t, "0123456", p.Commit)
	require.Equal(t, 90*time.Minute, p.Deadline)
	require.Equal(t, "kept", p.Env["OTHER"], "a stage reads its own settings")
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"nothing is set": {
			env:  map[string]string{},
			want: []string{"K_SINK, REFIT_S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, REFIT_LAUNCHER_URL are missing", "README.md"},
		},
		"one is empty":            {env: settings(map[string]string{"AWS_SECRET_ACCESS_KEY": ""}), want: []string{"settings AWS_SECRET_ACCESS_KEY are missing"}},
		"a deadline that is none": {env: settings(map[string]string{"REFIT_DEADLINE": "soon"}), want: []string{`REFIT_DEADLINE="soon"`, "90m"}},
		"a deadline in the past":  {env: settings(map[string]string{"REFIT_DEADLINE": "-1h"}), want: []string{`REFIT_DEADLINE="-1h"`}},
		"a launcher nobody knows": {env: settings(map[string]string{"REFIT_LAUNCHER": "ssh"}), want: []string{`REFIT_LAUNCHER="ssh"`, "accepted are process and kubernetes"}},
		"a cluster and no template": {
			env:  settings(map[string]string{"REFIT_LAUNCHER": "kubernetes", "REFIT_LAUNCHER_URL": ""}),
			want: []string{"settings REFIT_TEMPLATE, REFIT_IMAGE are missing"},
		},
		"a template that is not there": {
			env:  settings(map[string]string{"REFIT_LAUNCHER": "kubernetes", "REFIT_TEMPLATE": "/none/train.yaml", "REFIT_IMAGE": "train:1"}),
			want: []string{"setting REFIT_TEMPLATE", "/none/train.yaml"},
		},
		"a broker that is no URL":  {env: settings(map[string]string{"K_SINK": "broker"}), want: []string{"K_SINK", `"broker"`}},
		"a broker of another kind": {env: settings(map[string]string{"K_SINK": "nats://127.0.0.1"}), want: []string{"K_SINK", "nats://"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := stage.FromEnv(tc.env)
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "a secret")
		})
	}
}
