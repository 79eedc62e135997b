package platformtest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/stage"
	"refit.dev/stage/store"
	"refit.dev/workload/process"
)

// Upload puts a file into the landing bucket and returns the event by which
// the store announced it.
func (p *Platform) Upload(t testing.TB, key, file string, metadata map[string]string) event.Event {
	t.Helper()
	body, err := os.Open(file)
	require.NoError(t, err)
	defer func() { require.NoError(t, body.Close()) }()
	c := p.Connection().S3
	client := store.S3Config{Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey}.Client()
	_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &c.Landing, Key: &key, Body: body, Metadata: metadata})
	require.NoError(t, err)
	return p.Until(t, journal.Filter{}, func(e event.Event) bool {
		return events.IsObjectCreated(e.Type()) && e.Subject() == key
	})
}

// Bucket is a bucket of the platform's store.
func (p *Platform) Bucket(name string) store.Bucket {
	c := p.Connection().S3
	return store.NewS3(store.S3Config{Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey}.Client(), name)
}

// Request sends dev.refit.run.requested to the broker and returns its id.
func (p *Platform) Request(t testing.TB, data any) string {
	t.Helper()
	e := event.New()
	e.SetType(string(events.RunRequested))
	e.SetSource("kn-event/1.0")
	e.SetID(uuid.NewString())
	require.NoError(t, e.SetData(event.ApplicationJSON, data))
	p.Emit(t, e)
	return e.ID()
}

// Emit sends an event to the broker.
func (p *Platform) Emit(t testing.TB, e event.Event) {
	t.Helper()
	require.NoError(t, p.emitter.Emit(t.Context(), e))
}

// Started is the run that the event with that id started.
func (p *Platform) Started(t testing.TB, id string) string {
	t.Helper()
	e := p.CausedBy(t, id)
	require.Equal(t, string(events.RunStarted), e.Type(), string(e.Data()))
	return e.Subject()
}

// Deliver hands an event to a function directly, past the broker, which would
// drop a duplicate.
func (p *Platform) Deliver(t testing.TB, s events.Stage, e event.Event) {
	t.Helper()
	c := p.Connection()
	function, err := stage.NewBroker(strings.TrimSuffix(c.Broker, "/default/refit") + "/functions/" + string(s) + "/")
	require.NoError(t, err)
	require.NoError(t, function.Emit(t.Context(), e))
}

// Launcher reaches the platform's launcher as the functions do.
func (p *Platform) Launcher() *process.Client {
	c := p.Connection().Launcher
	return &process.Client{URL: c.URL, Token: c.Token}
}

// Launched are the names of the workloads that a run launched.
func (p *Platform) Launched(t testing.TB, run string) []string {
	t.Helper()
	records, err := p.Launcher().List(t.Context())
	require.NoError(t, err)
	var names []string
	for _, r := range records {
		if r.Job.Run == run {
			names = append(names, r.Job.Name())
		}
	}
	return names
}

// Version is a registered version as MLflow tells it.
type Version struct {
	Version string
	Tags    []struct{ Key, Value string }
}

// Tag is the value of a tag, empty if the version has none of that key.
func (v Version) Tag(key string) string {
	for _, tag := range v.Tags {
		if tag.Key == key {
			return tag.Value
		}
	}
	return ""
}

// Versions are all versions of model in the registry.
func (p *Platform) Versions(t testing.TB, model string) []Version {
	t.Helper()
	var found struct {
		Versions []Version `json:"model_versions"`
	}
	p.GetMLflow(t, "model-versions/search?filter=name%3D%27"+model+"%27", &found)
	return found.Versions
}

// ByRun are the versions of model that a run registered.
func (p *Platform) ByRun(t testing.TB, model, run string) []Version {
	t.Helper()
	var list []Version
	for _, v := range p.Versions(t, model) {
		if v.Tag("refit.run") == run {
			list = append(list, v)
		}
	}
	return list
}

// Experiment is the id of the MLflow experiment of that name.
func (p *Platform) Experiment(t testing.TB, name string) string {
	t.Helper()
	var found struct {
		Experiment struct {
			ID string `json:"experiment_id"`
		}
	}
	p.GetMLflow(t, "experiments/get-by-name?experiment_name="+name, &found)
	return found.Experiment.ID
}

// GetMLflow decodes what a path below /api/2.0/mlflow/ answers into into.
func (p *Platform) GetMLflow(t testing.TB, path string, into any) {
	t.Helper()
	GetJSON(t, p.Connection().MLflow+"/api/2.0/mlflow/"+path, "", into)
}

// PostMLflow posts body to a path below /api/2.0/mlflow/, which must answer 200,
// and decodes the answer into into.
func (p *Platform) PostMLflow(t testing.TB, path string, body, into any) {
	t.Helper()
	payload, err := json.Marshal(body)
	require.NoError(t, err)
	response, err := http.Post(p.Connection().MLflow+"/api/2.0/mlflow/"+path, "application/json", bytes.NewReader(payload))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NoError(t, json.NewDecoder(response.Body).Decode(into))
}

// RayJobs is how many jobs the head's dashboard lists.
func (p *Platform) RayJobs(t testing.TB) int {
	t.Helper()
	var jobs []json.RawMessage
	c := p.Connection().Ray
	GetJSON(t, c.URL+"/api/jobs/", c.Token, &jobs)
	return len(jobs)
}

// GetJSON decodes what url answers into into; the answer must be 200. A token
// that is not empty goes along as bearer.
func GetJSON(t testing.TB, url, token string, into any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, url)
	require.NoError(t, json.NewDecoder(response.Body).Decode(into))
}
