// Package cluster_test proves refit on a real cluster: API server, kubelets,
// Knative, KubeRay and Trainer. The cluster is KUBECONFIG's; it needs the
// operators and the images.
package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/test/clustertest"
)

// The two installs. One has the project's own images and templates. The other
// runs a stand-in for each workload, so that a run takes seconds. They are
// apart so that neither's templates change under the other's runs.
var (
	whole = install{overlay: clustertest.Overlay{Dir: "config/overlays/dev", Namespace: "kubeflow", MLflow: "mlflow"}}
	quick = install{overlay: clustertest.Overlay{Dir: "test/cluster/noop", Namespace: "refit-noop"}}
)

// standIn is the image of the quick install's workloads.
const standIn = "dev.local/refit-test-workload:v1.0"

// cluster is the cluster of all tests.
var cluster *clustertest.Cluster

// install is an install that all tests share.
type install struct {
	overlay clustertest.Overlay

	once  sync.Once
	found *clustertest.Install
	err   error
}

// on returns the install, which is ready.
func (i *install) on(t *testing.T) *clustertest.Install {
	t.Helper()
	i.start()
	require.NoError(t, i.err)
	return i.found
}

func (i *install) start() {
	i.once.Do(func() { i.found, i.err = cluster.Install(context.Background(), i.overlay) })
}

func (i *install) close() {
	if i.found != nil {
		i.found.Close()
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if cluster, err = clustertest.Connect(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var both sync.WaitGroup
	both.Go(whole.start)
	both.Go(quick.start)
	code := m.Run()
	both.Wait()
	if code != 0 {
		cluster.Report(os.Stderr, "kubeflow", "refit-noop", "mlflow")
	}
	whole.close()
	quick.close()
	return code
}
