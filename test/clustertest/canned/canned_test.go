package canned_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/test/clustertest/canned"
)

func TestFiguresObeyTheirSchemas(t *testing.T) {
	for _, s := range events.Stages() {
		body, err := json.Marshal(canned.Figures(s, events.Defaults()))
		require.NoError(t, err)
		require.NoError(t, events.ValidateJSON("figures."+string(s), body), s)
		require.NotEmpty(t, canned.Artifacts(s))
	}
	require.Less(t, canned.F1, events.Defaults().F1Threshold)
}

func ExampleArtifact() {
	a := canned.Artifact("s3://refit/empty", nil)
	fmt.Println(a.Digest[:19], a.Bytes)
	// Output: sha256:e3b0c44298fc 0
}
