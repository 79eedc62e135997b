package clustertest

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Watch looks at the namespace's pods from now on until the test's end. What it
// returns tells all that there were, each as it was seen last.
func (i *Install) Watch(t testing.TB) func() []corev1.Pod {
	t.Helper()
	watch, err := i.Kube.CoreV1().Pods(i.Namespace).Watch(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var mu sync.Mutex
	var watching sync.WaitGroup
	seen := map[string]corev1.Pod{}
	watching.Go(func() {
		for e := range watch.ResultChan() {
			if pod, ok := e.Object.(*corev1.Pod); ok {
				mu.Lock()
				seen[pod.Name] = *pod
				mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		watch.Stop()
		watching.Wait()
	})
	return func() []corev1.Pod {
		mu.Lock()
		defer mu.Unlock()
		return slices.Collect(maps.Values(seen))
	}
}
