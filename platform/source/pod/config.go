// Package pod runs the source as a cluster has it: a process that is always on,
// watches the workloads of its namespace, takes the notifications of the object
// store and sweeps. It links neither the broker nor the object store of one
// machine, so that it stays small.
package pod

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"refit.dev/platform/serve"
	"refit.dev/stage/store"
	"refit.dev/workload/kube"
)

// Config says where a source's pod finds everything.
type Config struct {
	// Sink is the broker's address, K_SINK.
	Sink string
	// S3 is the store that holds the buckets State and Landing.
	S3             store.S3Config
	State, Landing string
	// Namespace is that of the workloads, REFIT_NAMESPACE, by default the pod's.
	Namespace string
	// Token guards the notifications, REFIT_NOTIFICATION_TOKEN; without one none
	// are taken.
	Token string
	// Sweep is how often lost events are looked for, REFIT_SWEEP, a minute by
	// default. StuckAfter and TTL are those of package watch.
	Sweep, StuckAfter, TTL time.Duration
	// Address to listen on, ":8080" by default.
	Address string
	// Kubeconfig is a file that says where the cluster is, for a source outside
	// of it; empty in a pod.
	Kubeconfig string
	Logger     *slog.Logger
}

// FromEnv reads the settings of the environment. The error names every one that
// is missing or wrong.
func FromEnv(getenv func(string) string) (Config, error) {
	s := serve.NewSettings(getenv)
	c := Config{
		Sink: s.Required("K_SINK"),
		S3: store.S3Config{
			Endpoint: s.Required("REFIT_S3_ENDPOINT"), Region: s.Optional("REFIT_S3_REGION", "us-east-1"),
			AccessKey: s.Required("AWS_ACCESS_KEY_ID"), SecretKey: s.Required("AWS_SECRET_ACCESS_KEY"),
		},
		State: s.Optional("REFIT_BUCKET", "refit"), Landing: s.Optional("REFIT_LANDING_BUCKET", "landing"),
		Token: getenv("REFIT_NOTIFICATION_TOKEN"), Kubeconfig: getenv("KUBECONFIG"), Address: ":8080",
		Sweep: s.Duration("REFIT_SWEEP", time.Minute), StuckAfter: s.Duration("REFIT_STUCK_AFTER", 2*time.Minute),
		TTL: s.Duration("REFIT_WORKLOAD_TTL", time.Hour),
	}
	namespace, err := podNamespace()
	if err != nil {
		return c, err
	}
	if c.Namespace = s.Optional("REFIT_NAMESPACE", namespace); c.Namespace == "" {
		c.Namespace = s.Required("REFIT_NAMESPACE")
	}
	return c, s.Err()
}

// podNamespace is the pod's namespace, empty outside of a pod.
func podNamespace() (string, error) {
	b, err := os.ReadFile(filepath.Join(kube.ServiceAccountDir, "namespace"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("learn the pod's namespace: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
