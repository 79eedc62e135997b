package guard_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the repository, seen from this folder.
var root = filepath.Join("..", "..")

// made are folders that the repository makes but does not hold.
var made = []string{".git", ".venv", ".tools", ".refit", "bin", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}

// files lists the files of the repository whose path, from its root, is wanted.
func files(t *testing.T, want func(path string) bool) []string {
	t.Helper()
	var list []string
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(made, d.Name()):
			return fs.SkipDir
		}
		rel, err := filepath.Rel(root, path)
		if err == nil && d.Type().IsRegular() && want(filepath.ToSlash(rel)) {
			list = append(list, filepath.ToSlash(rel))
		}
		return err
	}))
	require.NotEmpty(t, list)
	return list
}

// ending wants the files with one of the endings.
func ending(endings ...string) func(string) bool {
	return func(path string) bool {
		return slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(path, e) })
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return string(body)
}

// productGo lists the Go files that are no tests.
func productGo(t *testing.T) []string {
	t.Helper()
	return files(t, func(path string) bool { return strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") })
}
