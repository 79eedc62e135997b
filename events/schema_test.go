package events_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
)

// Go embeds events/schemas, Python reads the folder schemas of its contract
// package: they have to be one folder, not a copy.
func TestPythonReadsTheVerySchemasOfGo(t *testing.T) {
	link := filepath.Join("..", "docker", "contract", "refit_contract", "schemas")
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.Equal(t, os.ModeSymlink, info.Mode().Type(), "a link, so that no copy can differ")
	python, err := os.Stat(link)
	require.NoError(t, err)
	ours, err := os.Stat("schemas")
	require.NoError(t, err)
	require.True(t, os.SameFile(python, ours))
}

func TestEverySchemaTellsItsNameAndIsUsed(t *testing.T) {
	used := map[string]bool{"spec": true, "result": true}
	for _, s := range events.Stages() {
		used["figures."+string(s)] = true
	}
	for _, d := range events.Catalog() {
		used[d.Schema] = true
	}
	files, err := filepath.Glob("schemas/*.json")
	require.NoError(t, err)
	require.Len(t, files, len(used))
	for _, f := range files {
		body, err := os.ReadFile(f)
		require.NoError(t, err)
		var schema struct {
			ID    string `json:"$id"`
			Title string `json:"title"`
		}
		require.NoError(t, json.Unmarshal(body, &schema))
		require.Equal(t, "https://refit.dev/schemas/"+filepath.Base(f), schema.ID)
		require.NotEmpty(t, schema.Title, f)
		require.True(t, used[strings.TrimSuffix(filepath.Base(f), ".json")], f)
	}
}

func TestEveryFiguresSchemaRefusesFiguresOfNoStage(t *testing.T) {
	for _, s := range events.Stages() {
		require.Error(t, events.ValidateJSON("figures."+string(s), []byte(`{}`)), s)
	}
}

func TestValidateChecksTheEnvelopeAndTheType(t *testing.T) {
	require.Error(t, events.Validate(event.New()), "neither type nor source nor id")
	e := event.New()
	e.SetType("dev.refit.bake.completed")
	e.SetSource("/s")
	e.SetID("1")
	require.ErrorContains(t, events.Validate(e), `event type "dev.refit.bake.completed" is not declared`)
}
