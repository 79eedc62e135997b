package guard_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// dependency says which packages of refit a module may reach, in however many
// steps, and which others it may not.
type dependency struct {
	module string
	may    []string // prefixes of import paths below refit.dev/
	never  []string // prefixes of any import path
	reason string
}

var stages = []string{"prepare", "features", "train", "tune", "register"}

func dependencies() []dependency {
	list := []dependency{
		{module: "events", may: []string{"events"}, reason: "events is the vocabulary that all others share: whoever writes an adapter takes it without the rest"},
		{module: "workload", may: []string{"events", "workload"}, reason: "a launcher knows nothing of stages, so that it can run anything"},
		{module: "stage", may: []string{"events", "workload", "stage"}, reason: "stage is what all functions share and may lean on none of them"},
	}
	for _, s := range stages {
		list = append(list, dependency{
			module: "functions/" + s, may: []string{"events", "workload", "stage", "functions/" + s},
			never:  []string{"knative.dev/eventing", "github.com/nats-io/"},
			reason: "a function's image stays small and its stages can be deployed apart: the broker belongs to platform/, and functions meet in events only",
		})
	}
	return list
}

func TestDependenciesPointOneWay(t *testing.T) {
	for _, d := range dependencies() {
		t.Run(d.module, func(t *testing.T) {
			for _, path := range reached(t, d.module) {
				ours, isOurs := strings.CutPrefix(path, "refit.dev/")
				require.False(t, path == "refit.dev" || isOurs && !below(ours, d.may), "%s reaches %s, but may reach %v only: %s", d.module, path, d.may, d.reason)
				for _, never := range d.never {
					require.False(t, strings.HasPrefix(path, never), "%s reaches %s: %s", d.module, path, d.reason)
				}
			}
		})
	}
}

func below(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return path == f || strings.HasPrefix(path, f+"/") })
}

// reached lists all packages that the packages of a module need, tests left out.
func reached(t *testing.T, module string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./...")
	cmd.Dir = filepath.Join(root, module)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	require.NoError(t, err, complaint.String())
	list := strings.Fields(string(out))
	require.NotEmpty(t, list)
	return list
}

func TestEveryModuleIsInTheWorkspaceAndTheMakefile(t *testing.T) {
	var modules []string
	for _, f := range files(t, ending("go.mod")) {
		modules = append(modules, strings.TrimSuffix(strings.TrimSuffix(f, "go.mod"), "/"))
	}
	var used []string
	for _, m := range regexp.MustCompile(`(?m)^\t\.(?:/(.*))?$`).FindAllStringSubmatch(read(t, "go.work"), -1) {
		used = append(used, m[1])
	}
	require.ElementsMatch(t, modules, used)
	require.Contains(t, read(t, "Makefile"), "MODULES  := . events workload stage $(addprefix functions/,"+strings.Join(stages, " ")+")",
		"what make tests")
	require.Len(t, modules, 4+len(stages))
}
