package pipeline_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/functions/features"
	"refit.dev/functions/prepare"
	"refit.dev/functions/register"
	"refit.dev/functions/register/registry/registrytest"
	"refit.dev/functions/train"
	"refit.dev/functions/tune"
	"refit.dev/stage"
	"refit.dev/stage/stagetest"
	"refit.dev/test/platformtest"
)

// contract is what functions and pipeline steps have in common. The tests of
// docker/contract hold the Python side to the same file.
type contract struct {
	Reads map[events.Stage]struct {
		Required, Optional []string
	}
	Parameters []struct {
		Name, Accepts     string
		Default           any
		Accepted, Refused []string
	}
}

func readContract(t *testing.T) contract {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(platformtest.Root(), "test/pipeline/testdata/contract.json"))
	require.NoError(t, err)
	var c contract
	require.NoError(t, json.Unmarshal(body, &c))
	return c
}

// function is the function of a stage.
func function(s events.Stage) *stage.Function {
	return map[events.Stage]func() *stage.Function{
		events.Prepare: prepare.New, events.Features: features.New, events.Train: train.New, events.Tune: tune.New, events.Register: register.New,
	}[s]()
}

// planned are the inputs that a stage's function plans when the stages before
// made the given artifacts.
func planned(t *testing.T, s events.Stage, made []string) []string {
	t.Helper()
	models := registrytest.NewServer()
	defer models.Close()
	b := stagetest.New(t, function(s), map[string]string{"MLFLOW_TRACKING_URI": models.URL})
	if s == events.Prepare {
		b.HandleAll(b.Upload(stagetest.Key, "data", nil))
		return b.InputNames()
	}
	run := b.Run(nil)
	for i, before := range s.Before() {
		artifacts := made
		if i > 0 {
			artifacts = nil
		}
		e := b.Completed(run, before, nil, artifacts...)
		if i == len(s.Before())-1 {
			b.Handle(e)
		}
	}
	if len(b.Launcher.Launched()) == 0 {
		return nil
	}
	return b.InputNames()
}

func TestTheFunctionsPlanWhatThePipelineReads(t *testing.T) {
	for _, s := range events.Stages() {
		reads := readContract(t).Reads[s]
		all := slices.Sorted(slices.Values(append(slices.Clone(reads.Required), reads.Optional...)))
		require.Equal(t, all, planned(t, s, append(slices.Clone(all), "something_else")), s)
		require.Equal(t, slices.Sorted(slices.Values(reads.Required)), planned(t, s, reads.Required), s)
		if s != events.Prepare {
			require.Empty(t, planned(t, s, reads.Required[1:]), "%s without %s", s, reads.Required[0])
		}
	}
}

func TestTheParametersOfThePipelineAreThoseOfTheEvents(t *testing.T) {
	defined := map[string]events.Definition{}
	for _, d := range events.Definitions() {
		defined[d.Name] = d
	}
	for _, p := range readContract(t).Parameters {
		require.Equal(t, p.Accepts, defined[p.Name].Accepts)
		require.EqualValues(t, p.Default, defined[p.Name].Default, p.Name)
		for _, value := range p.Accepted {
			_, err := events.Defaults().With(map[string]any{p.Name: value})
			require.NoError(t, err)
		}
		for _, value := range p.Refused {
			_, err := events.Defaults().With(map[string]any{p.Name: value})
			require.Error(t, err, "%s=%q", p.Name, value)
		}
	}
}
