package chaos_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
	"refit.dev/test/chaos/small"
)

// TestOfTwoRunsThatOverlapTheBetterIsChampion lets two models be compared with
// the same champion, none, before either is registered. Whatever the order,
// both are registered once and the better one is champion.
func TestOfTwoRunsThatOverlapTheBetterIsChampion(t *testing.T) {
	m := begin(t)
	for name, order := range map[string][]string{
		"worse-first":  {"0.90", "0.95"},
		"better-first": {"0.95", "0.90"},
	} {
		t.Run(name, func(t *testing.T) {
			runs := map[string]string{}
			for _, f1 := range order {
				runs[f1] = m.judged(t, name, f1)
			}
			for _, f1 := range order {
				open(t, m.p, runs[f1], events.Register)
				view := m.p.Ended(t, runs[f1])
				require.Equal(t, journal.Registered, view.State, view.Reason)
			}
			m.requireChampion(t, name, runs)
		})
	}
	t.Run("at-once", func(t *testing.T) {
		runs := map[string]string{"0.95": m.judged(t, "at-once", "0.95"), "0.90": m.judged(t, "at-once", "0.90")}
		for _, run := range runs {
			open(t, m.p, run, events.Register)
		}
		for _, run := range runs {
			view := m.p.Ended(t, run)
			require.Equal(t, journal.Registered, view.State, view.Reason)
		}
		m.requireChampion(t, "at-once", runs)
	})
}

// judged starts a run of a model and waits until it is evaluated.
func (m *mayhem) judged(t *testing.T, model, f1 string) string {
	t.Helper()
	key := "f1=" + f1 + "/register=judged/" + model + ".parquet"
	c := m.p.Connection().S3
	client := store.S3Config{Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey}.Client()
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &c.Landing, Key: &key, Body: strings.NewReader(key), Metadata: map[string]string{"refit-model-name": model},
	})
	require.NoError(t, err)
	run := runOf(t, m.p.Platform, key).ID
	m.p.Until(t, journal.Filter{Run: run}, func(e event.Event) bool { return e.Type() == string(events.Register.Started()) })
	require.Eventually(t, func() bool {
		_, err := m.p.Bucket(c.State).Head(t.Context(), small.Judged(run))
		return err == nil
	}, time.Minute, 20*time.Millisecond, "the model is not evaluated")
	return run
}

// requireChampion checks that both runs have one version, and the better one
// the alias.
func (m *mayhem) requireChampion(t *testing.T, model string, runs map[string]string) {
	t.Helper()
	require.Len(t, m.p.Versions(t, model), len(runs))
	for _, run := range runs {
		require.Len(t, m.p.ByRun(t, model, run), 1)
	}
	var champion struct {
		Version struct{ Version string } `json:"model_version"`
	}
	m.p.GetMLflow(t, "registered-models/alias?"+url.Values{"name": {model}, "alias": {"champion"}}.Encode(), &champion)
	require.Equal(t, m.p.ByRun(t, model, runs["0.95"])[0].Version, champion.Version.Version, "the better one is champion")
}
