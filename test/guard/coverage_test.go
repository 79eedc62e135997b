package guard_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The forms in which docs/coverage.md names what shows a demand.
var (
	goTest     = regexp.MustCompile("`([^`:\\s]+_test\\.go):(\\w+)`")
	pythonTest = regexp.MustCompile("`([^`:\\s]+\\.py)::(\\w+)`")
	makeTarget = regexp.MustCompile("`make ([a-z0-9-]+)")
)

func TestEverythingThatCoverageNamesExists(t *testing.T) {
	body := read(t, "docs/coverage.md")
	named := 0
	for _, m := range goTest.FindAllStringSubmatch(body, -1) {
		named++
		require.Regexp(t, `(?m)^func `+m[2]+`\(`, read(t, m[1]), m[0])
	}
	for _, m := range pythonTest.FindAllStringSubmatch(body, -1) {
		named++
		require.Regexp(t, `(?m)^\s*(async )?def `+m[2]+`\(`, read(t, m[1]), m[0])
	}
	for _, m := range makeTarget.FindAllStringSubmatch(body, -1) {
		named++
		require.Regexp(t, `(?m)^`+m[1]+`:`, read(t, "Makefile"), m[0])
	}
	require.Positive(t, named, "docs/coverage.md names no test: write `path/to/file_test.go:TestName`, `path/test_x.py::test_name` or `make target`")
}
