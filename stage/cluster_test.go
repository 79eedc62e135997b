package stage

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/workload"
	"refit.dev/workload/kube"
)

const manifest = `
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
spec: {runtimeRef: {kind: TrainingRuntime, name: refit-workload}}
`

// pod is what a function finds in a cluster whose API server is server.
func pod(t *testing.T, server *httptest.Server) kube.Pod {
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, text := range map[string][]byte{"token": []byte("a token"), "ca.crt": ca, "namespace": []byte("kubeflow\n")} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	return kube.Pod{Dir: dir, Env: map[string]string{
		"KUBERNETES_SERVICE_HOST": at.Hostname(), "KUBERNETES_SERVICE_PORT": at.Port(),
	}}
}

// template is the path of a file that holds text.
func template(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "train.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestAFunctionLaunchesInItsCluster(t *testing.T) {
	for name, tc := range map[string]struct{ namespace, want string }{
		"in the namespace of its pod":     {want: "kubeflow"},
		"in the namespace of the setting": {namespace: "training", want: "training"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan *http.Request, 2) // to create it, and to see whether it is there
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			defer server.Close()
			launcher, err := cluster(map[string]string{
				"REFIT_TEMPLATE": template(t, manifest), "REFIT_NAMESPACE": tc.namespace,
			}, pod(t, server))
			require.NoError(t, err)
			err = launcher.Launch(t.Context(), workload.Job{
				Run: "r", Stage: events.Prepare, Attempt: 1, Image: "prepare:1", Deadline: time.Now().Add(time.Hour),
			})
			require.ErrorContains(t, err, "create TrainJob r-prepare-1 in namespace "+tc.want)
			r := <-asked
			require.Equal(t, "/apis/trainer.kubeflow.org/v1alpha1/namespaces/"+tc.want+"/trainjobs", r.URL.Path)
			require.Equal(t, "Bearer a token", r.Header.Get("Authorization"))
		})
	}
}

func TestAClusterThatIsNoneIsNamed(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	whole := pod(t, server)
	for name, tc := range map[string]struct {
		pod      kube.Pod
		template string
		want     string
	}{
		"outside of a pod":           {pod: kube.Pod{Dir: whole.Dir}, template: manifest, want: "KUBERNETES_SERVICE_HOST"},
		"without a service account":  {pod: kube.Pod{Env: whole.Env, Dir: t.TempDir()}, template: manifest, want: "REFIT_NAMESPACE is empty"},
		"with a template of no kind": {pod: whole, template: "{apiVersion: batch/v1, kind: Job}", want: `kind "Job" of apiVersion "batch/v1" runs no workloads`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cluster(map[string]string{"REFIT_TEMPLATE": template(t, tc.template)}, tc.pod)
			require.ErrorContains(t, err, tc.want)
		})
	}
}
