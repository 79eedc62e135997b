package kube_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"refit.dev/workload"
	"refit.dev/workload/kube"
)

// bench is a launcher and the server that it asks.
type bench struct {
	*kube.Launcher
	server *server
}

func setup(t *testing.T) bench {
	s := newServer(t)
	l, err := kube.NewLauncher(kube.LauncherConfig{
		Client: s.client(t), Namespace: "kubeflow", Template: []byte(trainTemplate), Kinds: kinds, Clock: func() time.Time { return noon },
	})
	require.NoError(t, err)
	return bench{l, s}
}

func TestALauncherNeedsItsConfiguration(t *testing.T) {
	client := newServer(t).client(t)
	for name, cfg := range map[string]kube.LauncherConfig{
		"a client":    {Namespace: "kubeflow", Kinds: kinds},
		"a namespace": {Client: client, Kinds: kinds},
		"kinds":       {Client: client, Namespace: "kubeflow"},
	} {
		_, err := kube.NewLauncher(cfg)
		require.ErrorContains(t, err, "must be set", name)
	}
}

func TestJobsThatAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*workload.Job)
		want   string
	}{
		"a name that a shell would read": {func(j *workload.Job) { j.Run = "r;reboot" }, `workload name "r;reboot-prepare-2": accepted are 1 to 47`},
		"a path":                         {func(j *workload.Job) { j.Run = "../kube-system" }, "workload name"},
		"upper case":                     {func(j *workload.Job) { j.Run = "R" }, "workload name"},
		"a digit first":                  {func(j *workload.Job) { j.Run = "1" }, "workload name"},
		"a name of 48 characters":        {func(j *workload.Job) { j.Run = strings.Repeat("r", 38) }, "workload name"},
		"a line break at the end":        {func(j *workload.Job) { j.Stage = "prepare\n" }, "workload name"},
		"no image":                       {func(j *workload.Job) { j.Image = "" }, "set REFIT_IMAGE"},
	} {
		t.Run(name, func(t *testing.T) {
			b, j := setup(t), job()
			tc.change(&j)
			require.ErrorContains(t, b.Launch(t.Context(), j), tc.want)
			require.Zero(t, b.server.Created(j.Name()))
		})
	}
	b, j := setup(t), job()
	j.Run = strings.Repeat("r", 37)
	require.NoError(t, b.Launch(t.Context(), j), "47 characters")
}

func TestARefusalOfTheServerIsAnError(t *testing.T) {
	b := setup(t)
	b.server.Refuse = func(*http.Request) (int, string) { return http.StatusForbidden, "exceeded quota: refit" }
	err := b.Launch(t.Context(), job())
	require.ErrorContains(t, err, "create TrainJob r-20261123-060000-0a1b2c3d-prepare-2 in namespace kubeflow")
	require.ErrorContains(t, err, "exceeded quota: refit")
	b.server.Refuse = nil
	require.NoError(t, b.Launch(t.Context(), job()), "the next delivery launches it")
}

func TestWhatTheServerWillNeverTakeIsInvalid(t *testing.T) {
	for status, want := range map[int]error{
		http.StatusUnprocessableEntity: workload.ErrInvalid, http.StatusBadRequest: workload.ErrInvalid,
		http.StatusForbidden: workload.ErrRefused, http.StatusInternalServerError: workload.ErrRefused,
	} {
		b := setup(t)
		b.server.Refuse = refuse(http.MethodPost, status)
		err := b.Launch(t.Context(), job())
		require.ErrorContains(t, err, "spec.trainer.image: is wrong")
		require.ErrorIs(t, err, want, status)
		b.server.Refuse = func(*http.Request) (int, string) { return status, "go away" }
		err = b.Launch(t.Context(), job())
		require.ErrorContains(t, err, "go away")
		require.False(t, errors.Is(err, workload.ErrInvalid) || errors.Is(err, workload.ErrRefused), "nobody knows whether it is there")
	}
}

// TestAQuotaIsNoReasonToRefuseWhatIsLaunched is about a second delivery: the
// server counts before it looks whether the name is taken.
func TestAQuotaIsNoReasonToRefuseWhatIsLaunched(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusUnprocessableEntity} {
		b := setup(t)
		require.NoError(t, b.Launch(t.Context(), job()))
		b.server.Refuse = refuse(http.MethodPost, status)
		require.NoError(t, b.Launch(t.Context(), job()))
	}
}

// refuse refuses the requests of a method.
func refuse(method string, status int) func(*http.Request) (int, string) {
	return func(r *http.Request) (int, string) {
		if r.Method == method {
			return status, "spec.trainer.image: is wrong"
		}
		return 0, ""
	}
}

func TestALauncherWithoutATemplateCancels(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.Launch(t.Context(), job()))
	l, err := kube.NewLauncher(kube.LauncherConfig{Client: b.server.client(t), Namespace: "kubeflow", Kinds: kinds})
	require.NoError(t, err)
	require.ErrorContains(t, l.Launch(t.Context(), job()), "no template")
	require.NoError(t, l.Cancel(t.Context(), job().Name()), "a TrainJob, though RayJobs are looked for first")
	end, over := kube.EndOf(kinds, b.server.Object(job().Name()))
	require.True(t, over)
	require.Equal(t, workload.Cancelled, end.Outcome)
}

func TestACancelThatCannotBeIsAnError(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.Launch(t.Context(), job()))
	b.server.Refuse = func(r *http.Request) (int, string) {
		if r.Method == http.MethodPatch {
			return http.StatusForbidden, "may not patch"
		}
		return 0, ""
	}
	require.ErrorContains(t, b.Cancel(t.Context(), job().Name()), "may not patch")
	b.server.Refuse = func(*http.Request) (int, string) { return http.StatusForbidden, "may not get" }
	err := b.Cancel(t.Context(), job().Name())
	require.ErrorContains(t, err, "may not get")
	require.True(t, apierrors.IsForbidden(err))
	require.NotErrorIs(t, err, workload.ErrNotFound)
}
