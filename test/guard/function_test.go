package guard_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

func TestEveryFunctionHasItsFuncYAML(t *testing.T) {
	for _, name := range stages {
		t.Run(name, func(t *testing.T) {
			var f struct {
				SpecVersion string    `json:"specVersion"`
				Name        string    `json:"name"`
				Runtime     string    `json:"runtime"`
				Created     time.Time `json:"created"`
				Invoke      string    `json:"invoke"`
			}
			require.NoError(t, yaml.Unmarshal([]byte(read(t, "functions/"+name+"/func.yaml")), &f))
			require.Equal(t, "0.36.0", f.SpecVersion)
			require.Equal(t, name, f.Name)
			require.Equal(t, "go", f.Runtime)
			require.Equal(t, "cloudevent", f.Invoke)
			require.False(t, f.Created.IsZero(), "func takes a folder without a time of creation for none of its functions")
		})
	}
}

func TestTheFunctionsAreOfOneShape(t *testing.T) {
	for _, name := range stages {
		for _, file := range []string{"func.yaml", "go.mod", "handle.go", "handle_test.go", "example_test.go", "testdata/figures.json", "cmd/" + name + "/main.go"} {
			require.NotEmpty(t, read(t, "functions/"+name+"/"+file))
		}
		require.Regexp(t, `(?m)^func New\(\)`, read(t, "functions/"+name+"/handle.go"), "what func looks for")
	}
}
