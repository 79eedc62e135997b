package kube_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/workload/kube"
)

func TestWhatIsNoPod(t *testing.T) {
	nowhere := kube.Pod{Dir: t.TempDir()}
	_, err := nowhere.Client()
	require.ErrorContains(t, err, "KUBERNETES_SERVICE_HOST")
	_, err = nowhere.Namespace()
	require.ErrorContains(t, err, "learn the pod's namespace")
	nowhere.Env = map[string]string{"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
	_, err = nowhere.Client()
	require.ErrorContains(t, err, "ca.crt")
	_, err = kube.Pod{}.Namespace()
	require.ErrorContains(t, err, kube.ServiceAccountDir)
}
