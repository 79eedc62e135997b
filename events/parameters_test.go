package events_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
)

func TestDefaults(t *testing.T) {
	require.Equal(t, events.Parameters{
		EntityDataPath: "datasets/processed/emails/all_emails.parquet", TestSplitRatio: 0.2, NumHPOTrials: 20, F1Threshold: 0.85,
		ModelName: "spam-detector", Seed: 42, Split: "hash", NumWorkers: 1,
	}, events.Defaults())
}

func TestParametersTakeWhatLiesWithinTheirLimits(t *testing.T) {
	long := strings.Repeat("k", 1024)
	for name, tc := range map[string]struct {
		values map[string]any
		want   func(*events.Parameters)
	}{
		"nothing changes nothing":        {values: nil, want: func(*events.Parameters) {}},
		"the smallest split":             {values: map[string]any{"test_split_ratio": 0.05}, want: func(p *events.Parameters) { p.TestSplitRatio = 0.05 }},
		"the largest split":              {values: map[string]any{"test_split_ratio": 0.5}, want: func(p *events.Parameters) { p.TestSplitRatio = 0.5 }},
		"a number as a string":           {values: map[string]any{"f1_threshold": "0.5"}, want: func(p *events.Parameters) { p.F1Threshold = 0.5 }},
		"a string with blanks around it": {values: map[string]any{"f1_threshold": " 0.5 "}, want: func(p *events.Parameters) { p.F1Threshold = 0.5 }},
		"a whole number as a string":     {values: map[string]any{"num_hpo_trials": "3"}, want: func(p *events.Parameters) { p.NumHPOTrials = 3 }},
		"a whole number as a float":      {values: map[string]any{"num_hpo_trials": 3.0}, want: func(p *events.Parameters) { p.NumHPOTrials = 3 }},
		"a number of json":               {values: map[string]any{"seed": json.Number("7")}, want: func(p *events.Parameters) { p.Seed = 7 }},
		"the fewest trials":              {values: map[string]any{"num_hpo_trials": 1}, want: func(p *events.Parameters) { p.NumHPOTrials = 1 }},
		"the most trials":                {values: map[string]any{"num_hpo_trials": 10000}, want: func(p *events.Parameters) { p.NumHPOTrials = 10000 }},
		"a gate that lets all through":   {values: map[string]any{"f1_threshold": 0}, want: func(p *events.Parameters) { p.F1Threshold = 0 }},
		"a gate that lets perfect pass":  {values: map[string]any{"f1_threshold": 1}, want: func(p *events.Parameters) { p.F1Threshold = 1 }},
		"the smallest seed":              {values: map[string]any{"seed": 0}, want: func(p *events.Parameters) { p.Seed = 0 }},
		"the largest seed":               {values: map[string]any{"seed": 2147483647}, want: func(p *events.Parameters) { p.Seed = 2147483647 }},
		"the most workers":               {values: map[string]any{"num_workers": 64}, want: func(p *events.Parameters) { p.NumWorkers = 64 }},
		"a split by time":                {values: map[string]any{"split": "time"}, want: func(p *events.Parameters) { p.Split = "time" }},
		"a model name of all kinds":      {values: map[string]any{"model_name": "9Spam._-x"}, want: func(p *events.Parameters) { p.ModelName = "9Spam._-x" }},
		"the longest key":                {values: map[string]any{"entity_data_path": long}, want: func(p *events.Parameters) { p.EntityDataPath = long }},
		"a key in any script":            {values: map[string]any{"entity_data_path": "почта/a b+c%.parquet"}, want: func(p *events.Parameters) { p.EntityDataPath = "почта/a b+c%.parquet" }},
		"several at once": {
			values: map[string]any{"seed": "7", "num_workers": 2},
			want:   func(p *events.Parameters) { p.Seed, p.NumWorkers = 7, 2 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := events.Defaults()
			tc.want(&want)
			got, err := events.Defaults().With(tc.values)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestParametersRefuseTheRest(t *testing.T) {
	accepted := map[string]string{}
	for _, d := range events.Definitions() {
		accepted[d.Name] = d.Accepts
	}
	for name, tc := range map[string]struct {
		parameter string
		value     any
		wantValue string
	}{
		"no split":                       {"test_split_ratio", 0, "0"},
		"nothing to train on":            {"test_split_ratio", 1, "1"},
		"a split that is no number":      {"test_split_ratio", "NaN", `"NaN"`},
		"a boolean":                      {"test_split_ratio", true, "true"},
		"a list":                         {"test_split_ratio", []any{0.2}, "[0.2]"},
		"null":                           {"test_split_ratio", nil, "null"},
		"an object":                      {"seed", map[string]any{"a": 1}, `{"a":1}`},
		"no trials":                      {"num_hpo_trials", 0, "0"},
		"too many trials":                {"num_hpo_trials", 10001, "10001"},
		"half a trial":                   {"num_hpo_trials", 1.5, "1.5"},
		"half a trial as a string":       {"num_hpo_trials", "1.5", `"1.5"`},
		"trials in words":                {"num_hpo_trials", "three", `"three"`},
		"an empty string":                {"num_hpo_trials", "", `""`},
		"a threshold above 1":            {"f1_threshold", 1.5, "1.5"},
		"a threshold below 0":            {"f1_threshold", -0.1, "-0.1"},
		"an infinite threshold":          {"f1_threshold", "Inf", `"Inf"`},
		"a model name with a slash":      {"model_name", "team/spam", `"team/spam"`},
		"a model name that is a flag":    {"model_name", "-rf", `"-rf"`},
		"a model name over two lines":    {"model_name", "a\nb", `"a\nb"`},
		"no model name":                  {"model_name", "", `""`},
		"a model name too long":          {"model_name", strings.Repeat("m", 129), `"mmm`},
		"a model name that is a number":  {"model_name", 7, "7"},
		"a seed below 0":                 {"seed", -1, "-1"},
		"a seed of more than 31 bits":    {"seed", 2147483648, "2147483648"},
		"a split nobody knows":           {"split", "random", `"random"`},
		"no workers":                     {"num_workers", 0, "0"},
		"too many workers":               {"num_workers", 65, "65"},
		"no key":                         {"entity_data_path", "", `""`},
		"a key too long":                 {"entity_data_path", strings.Repeat("k", 1025), `"kkk`},
		"a key over two lines":           {"entity_data_path", "a\nb.parquet", `"a\nb.parquet"`},
		"a key that is not UTF-8":        {"entity_data_path", "a\xff.parquet", `"a\ufffd.parquet"`},
		"a number that JSON cannot hold": {"f1_threshold", func() {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := events.Defaults()
			got, err := before.With(map[string]any{tc.parameter: tc.value, "num_workers_": 1, "seed_": 2})
			require.Zero(t, got, "nothing is set in part")
			require.Equal(t, events.Defaults(), before, "what was there stays as it was")
			var refused *events.ParameterError
			require.ErrorAs(t, err, &refused)
			require.Len(t, refused.Problems, 3, "every problem is named")
			require.ErrorContains(t, err, "parameter "+tc.parameter+"="+tc.wantValue)
			require.ErrorContains(t, err, "accepted is "+accepted[tc.parameter])
			require.ErrorContains(t, err, `unknown parameter "num_workers_": accepted are entity_data_path, test_split_ratio`)
		})
	}
}

func TestARefusalFitsIntoAnEventWhateverWasAsked(t *testing.T) {
	values := map[string]any{"model_name": strings.Repeat("ü", 400_000), strings.Repeat("n", 400_000): 1}
	for i := range 20_000 {
		values[fmt.Sprint("unknown_", i)] = i
	}
	_, err := events.Defaults().With(values)
	require.ErrorContains(t, err, `parameter model_name="üü`)
	require.ErrorContains(t, err, `ü… (800002 bytes): accepted is 1 to 128 letters`)
	require.ErrorContains(t, err, `n… (400002 bytes): accepted are entity_data_path`)
	require.ErrorContains(t, err, "; and 19992 more")
	require.Less(t, len(err.Error()), 10_000)
	require.True(t, utf8.ValidString(err.Error()))
	var refused *events.ParameterError
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Problems, 20_002, "whoever reads the error in Go has all of them")
}

func TestEveryParameterIsInTheSpecSchemaAndTheOtherWayRound(t *testing.T) {
	body, err := os.ReadFile("schemas/spec.json")
	require.NoError(t, err)
	var schema struct {
		Properties struct {
			Parameters struct {
				Properties map[string]any
			}
		}
	}
	require.NoError(t, json.Unmarshal(body, &schema))
	var names []string
	for _, d := range events.Definitions() {
		names = append(names, d.Name)
		require.True(t, d.Stage.Valid(), d.Name)
		_, err := events.Defaults().With(map[string]any{d.Name: d.Default})
		require.NoError(t, err, "the default of %s", d.Name)
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(schema.Properties.Parameters.Properties)), names)

	body, err = json.Marshal(events.Defaults())
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(body, &fields))
	require.ElementsMatch(t, slices.Collect(maps.Keys(fields)), names)
}

// The data that kn event send makes of
// --field num_hpo_trials=3 --field f1_threshold=0.5 --field model_name=mine.
func TestARequestAsKnWritesIt(t *testing.T) {
	data := []byte(`{"num_hpo_trials":3,"f1_threshold":"0.5","model_name":"mine"}`)
	require.NoError(t, events.ValidateJSON("run.requested", data))
	var request events.Request
	require.NoError(t, json.Unmarshal(data, &request))
	require.Nil(t, request.Replay)
	p, err := events.Defaults().With(request.Parameters)
	require.NoError(t, err)
	want := events.Defaults()
	want.NumHPOTrials, want.F1Threshold, want.ModelName = 3, 0.5, "mine"
	require.Equal(t, want, p)
}

func TestARequestKeepsReplayApartFromItsParameters(t *testing.T) {
	data := []byte(`{"replay":{"run":"r-20261123-060000-0a1b2c3d","from":"register"},"f1_threshold":0.9}`)
	var request events.Request
	require.NoError(t, json.Unmarshal(data, &request))
	require.Equal(t, events.Request{
		Replay:     &events.Replay{Run: "r-20261123-060000-0a1b2c3d", From: events.Register},
		Parameters: map[string]any{"f1_threshold": 0.9},
	}, request)
	again, err := json.Marshal(request)
	require.NoError(t, err)
	require.JSONEq(t, string(data), string(again))
}

func TestDataThatIsNoRequestIsNamedWithWhatIs(t *testing.T) {
	for data, want := range map[string]string{
		`[1]`:                                 `the data is [1]: accepted is an object of parameters such as {"f1_threshold": 0.9}`,
		`"x"`:                                 `the data is "x": accepted is`,
		``:                                    `the data is missing: accepted is`,
		`buy`:                                 `the data is buy: accepted is`,
		`null`:                                `the data is null: accepted is`,
		`{"replay":1}`:                        `replay=1: accepted is an object such as {"run": "r-20261123-060000-0a1b2c3d", "from": "register"}`,
		`{"replay":{"run":[]}}`:               `replay={"run":[]}: accepted is`,
		`"` + strings.Repeat("x", 9999) + `"`: `x… (10001 bytes): accepted is`,
	} {
		var request events.Request
		err := request.UnmarshalJSON([]byte(data))
		require.ErrorContains(t, err, want)
		require.Less(t, len(err.Error()), 1000)
	}
}
