// Package cluster_test measures refit on the cluster of KUBECONFIG. Its figures
// belong into docs/benchmarks.md.
package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/test/clustertest"
)

const (
	mebibyte = 1 << 20
	senders  = 8
	rounds   = 3
	selector = "refit.dev/run=" + run
	run      = "r-20261123-060000-0a1b2c3d"
)

var install *clustertest.Install

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(measured(m))
}

func measured(m *testing.M) int {
	cluster, err := clustertest.Connect()
	if err == nil {
		install, err = cluster.Install(context.Background(), clustertest.Overlay{Dir: "test/cluster/noop", Namespace: "refit-noop"})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer install.Close()
	return m.Run()
}

// elsewhere is the event of an upload to a bucket that starts no runs.
func elsewhere(tb testing.TB) event.Event {
	tb.Helper()
	key := uuid.NewString()
	list, err := events.FromNotification([]byte(`{"Records":[{"eventSource":"aws:s3","awsRegion":"us-east-1","eventTime":"2026-11-23T06:00:00Z",` +
		`"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"elsewhere"},"object":{"key":"` + key + `.parquet","size":4,"eTag":"e"}}}]}`))
	require.NoError(tb, err)
	return list[0]
}
