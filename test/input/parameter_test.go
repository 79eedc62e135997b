package input_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/cli"
)

func TestAWrongParameterIsRefusedWithWhatIsAccepted(t *testing.T) {
	before := len(runs(t))
	for name, tc := range map[string]struct {
		parameter string
		value     any
		want      string
	}{
		"no test rows":            {"test_split_ratio", 0, "parameter test_split_ratio=0: accepted is a number from 0.05 to 0.5"},
		"no rows to learn from":   {"test_split_ratio", 1, "parameter test_split_ratio=1: accepted is a number from 0.05 to 0.5"},
		"no trials":               {"num_hpo_trials", 0, "parameter num_hpo_trials=0: accepted is a whole number from 1 to 10000"},
		"too many trials":         {"num_hpo_trials", 10001, "parameter num_hpo_trials=10001: accepted is a whole number from 1 to 10000"},
		"a threshold above 1":     {"f1_threshold", 1.5, "parameter f1_threshold=1.5: accepted is a number from 0 to 1"},
		"a name with a slash":     {"model_name", "team/spam", `parameter model_name="team/spam": accepted is 1 to 128 letters`},
		"an unknown name":         {"f1_treshold", 0.9, `unknown parameter "f1_treshold": accepted are entity_data_path, test_split_ratio`},
		"another type":            {"seed", []int{1}, "parameter seed=[1]: accepted is a whole number from 0 to 2147483647"},
		"an object nobody put":    {"entity_data_path", "none.parquet", `entity_data_path="none.parquet": there is no such object in bucket "landing": upload it first`},
		"a replay of nothing":     {"replay", 1, `replay=1: accepted is an object such as {"run": "r-`},
		"a replay of an unknown":  {"replay", map[string]string{"run": "r-20261123-060000-00000000", "from": "tune"}, "r-20261123-060000-00000000"},
		"a replay from nowhere":   {"replay", map[string]string{"run": "r-20261123-060000-00000000", "from": "end"}, `"end": accepted are [prepare features train tune register]`},
		"a value of 900 kilobyte": {"model_name", strings.Repeat("m", 900_000), "m… (900002 bytes): accepted is 1 to 128 letters"},
	} {
		t.Run(name, func(t *testing.T) {
			id := shared.Request(t, map[string]any{tc.parameter: tc.value})
			found := refused(t, id)
			require.Contains(t, found.Message, tc.want)
			require.Equal(t, found.Reason == "BadParameter", found.Accepted != nil)
			_, _, said := refit(t, "runs")
			require.Contains(t, said, ": "+found.Reason+": "+found.Message)
		})
	}
	require.Contains(t, refused(t, shared.Request(t, []int{1})).Message, `the data is [1]: accepted is an object of parameters such as {"f1_threshold": 0.9}`)
	stillWorks(t, before)
}

func TestWrongMetadataOfAnUploadIsRefused(t *testing.T) {
	before := len(runs(t))
	for name, value := range map[string]string{"refit-test-split-ratio": "1", "refit-num-hpo-trials": "10001", "refit-model-name": "a/b", "refit-f1-treshold": "0.9"} {
		key := "metadata/" + name + ".parquet"
		announced := shared.Upload(t, key, file(t, "good"), map[string]string{name: value})
		found := refused(t, announced.ID())
		require.Equal(t, "s3://landing/"+key, found.URI)
		require.Contains(t, found.Message, strings.ReplaceAll(strings.TrimPrefix(name, "refit-"), "-", "_"))
		require.Contains(t, found.Message, "accepted")
		require.Contains(t, found.Message, "; upload the object again, its key and metadata as accepted")
		_, _, said := refit(t, "runs")
		require.Contains(t, said, found.URI+": BadParameter: "+found.Message)
	}
	stillWorks(t, before)
}

func TestSendFollowsARefusal(t *testing.T) {
	code, _, said := refit(t, "send", "--field", "num_hpo_trials=10001", "--follow")
	require.Equal(t, cli.CodeRefused, code)
	require.Contains(t, said, "no run was started: BadParameter: parameter num_hpo_trials=10001: accepted is a whole number from 1 to 10000")
}
