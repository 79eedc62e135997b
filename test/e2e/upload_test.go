package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
)

// upload puts a file into the landing bucket and returns the event by which
// the store announced it.
func (p *platform) upload(t *testing.T, key, file string, metadata map[string]string) event.Event {
	t.Helper()
	body, err := os.Open(file)
	require.NoError(t, err)
	defer body.Close()
	_, err = p.client().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: new("landing"), Key: &key, Body: body, Metadata: metadata,
	})
	require.NoError(t, err)
	return p.until(t, journal.Filter{}, func(e event.Event) bool {
		return events.IsObjectCreated(e.Type()) && e.Subject() == key
	})
}

func (p *platform) client() *s3.Client {
	c := p.Connection().S3
	return store.S3Config{Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey}.Client()
}

func TestAnUploadBecomesARegisteredModel(t *testing.T) {
	file := shared.sample(t, 600)
	announced := shared.upload(t, "first.parquet", file, map[string]string{"refit-num-hpo-trials": "3", "refit-model-name": "first"})
	started := shared.causedBy(t, announced.ID())
	require.Equal(t, string(events.RunStarted), started.Type())

	run := shared.ended(t, started.Subject())
	require.Equal(t, journal.State("registered"), run.State, run.Reason)
	require.Equal(t, "1", run.Model.Version)
	require.Equal(t, "champion", run.Model.Alias)
	require.InDelta(t, 524, run.Stage(events.Features).Figures["columns"], 0)
	require.InDelta(t, 3, run.Stage(events.Tune).Figures["trials"], 0)

	var found struct {
		Version struct {
			Tags []struct{ Key, Value string } `json:"tags"`
		} `json:"model_version"`
	}
	getJSON(t, shared.Connection().MLflow+"/api/2.0/mlflow/registered-models/alias?name=first&alias=champion", &found)
	require.Contains(t, found.Version.Tags, struct{ Key, Value string }{"refit.run", run.ID})
}

func getJSON(t *testing.T, url string, into any) {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, url)
	require.NoError(t, json.NewDecoder(response.Body).Decode(into))
}
