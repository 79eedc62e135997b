package pod_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/platform/source/pod"
	"refit.dev/stage/store"
)

func TestSettings(t *testing.T) {
	env := map[string]string{}
	getenv := func(name string) string { return env[name] }
	_, err := pod.FromEnv(getenv)
	require.EqualError(t, err, "settings K_SINK, REFIT_S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, REFIT_NAMESPACE are missing: see the table of settings in README.md")
	env = map[string]string{
		"K_SINK": "http://broker/x", "REFIT_S3_ENDPOINT": "http://s3", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
		"REFIT_NAMESPACE": "ml", "REFIT_NOTIFICATION_TOKEN": "t", "REFIT_WORKLOAD_TTL": "30m",
	}
	got, err := pod.FromEnv(getenv)
	require.NoError(t, err)
	require.Equal(t, pod.Config{
		Sink: "http://broker/x", S3: store.S3Config{Endpoint: "http://s3", Region: "us-east-1", AccessKey: "k", SecretKey: "s"},
		State: "refit", Landing: "landing", Namespace: "ml", Token: "t", Sweep: time.Minute, StuckAfter: 2 * time.Minute, TTL: 30 * time.Minute, Address: ":8080",
	}, got)
}

func TestASourceThatCannotBeginSaysWhy(t *testing.T) {
	require.ErrorContains(t, pod.Run(t.Context(), pod.Config{Sink: "nowhere"}), "setting K_SINK")
	require.ErrorContains(t, pod.Run(t.Context(), pod.Config{Sink: "http://broker/x", Kubeconfig: "/nowhere"}), "find the cluster")
}
