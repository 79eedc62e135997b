package guard_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// forbidden is a word that must not stand in some files. The words are written
// so that this file is free of them.
type forbidden struct {
	in     func(path string) bool
	word   *regexp.Regexp
	reason string
}

func forbiddenWords() []forbidden {
	text := ending(".go", ".py", ".sh", ".yaml", ".yml", ".md", ".toml", ".in", "Makefile", "Dockerfile")
	return []forbidden{
		{text, regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`), "work that is left belongs into an issue"},
		{ending("_test.go"), regexp.MustCompile(`\.Ski` + `p(f|Now)?\(`), "a test that does not run looks green: when a test is asked for and what it needs is missing, it fails"},
		{ending(".py"), regexp.MustCompile(`pytest\.(mark\.)?(ski` + `p|skipif|xfail|importorskip)\b`), "a test that does not run looks green"},
		{ending("_test.go"), regexp.MustCompile(`\btime\.Sle` + `ep\(`), "wait on a signal, a channel or testing/synctest: sleeping is slow and still flaky"},
	}
}

func TestNoForbiddenWords(t *testing.T) {
	for _, f := range forbiddenWords() {
		var found []string
		for _, name := range files(t, f.in) {
			for i, line := range strings.Split(read(t, name), "\n") {
				if f.word.MatchString(line) {
					found = append(found, fmt.Sprintf("%s:%d %s", name, i+1, strings.TrimSpace(line)))
				}
			}
		}
		require.Empty(t, found, f.reason)
	}
}

func TestNoFileIsLong(t *testing.T) {
	const most = 400
	for _, name := range productGo(t) {
		require.LessOrEqual(t, strings.Count(read(t, name), "\n"), most, "%s: a file is about one type or idea, split it", name)
	}
}

func TestNoFolderIsNamedAfterNothing(t *testing.T) {
	for _, name := range files(t, ending(".go", ".py")) {
		for folder := range strings.SplitSeq(path.Dir(name), "/") {
			require.False(t, slices.Contains([]string{"pkg", "src", "common", "util", "utils", "helper", "helpers", "misc"}, folder),
				"%s: the content of such a folder belongs to its callers", name)
		}
	}
}

// requirement is the first line of an entry of a lock file.
var requirement = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)(\[[a-z,_-]+\])?==[^ ]+`)

func TestLockFilesNameNoHostAndHashEveryEntry(t *testing.T) {
	locks := files(t, func(path string) bool {
		return strings.HasPrefix(path, "docker/") && strings.HasSuffix(path, "requirements.txt")
	})
	require.Len(t, locks, 2, "one for the images, one for the machine")
	for _, name := range append(locks, "scripts/uv.txt") {
		t.Run(name, func(t *testing.T) {
			body := read(t, name)
			require.NotRegexp(t, `://|--(extra-)?index-url|--find-links|--trusted-host`, body, "whoever installs chooses the index, and the hashes hold for all of them")
			entries := entries(body)
			require.NotEmpty(t, entries)
			for _, e := range entries {
				require.Regexp(t, requirement, e)
				require.Regexp(t, `--hash=sha256:[0-9a-f]{64}`, e)
			}
		})
	}
}

// entries splits a lock file into its entries, comments left out.
func entries(body string) (list []string) {
	for line := range strings.Lines(body) {
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "#"), strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, " "):
			list[len(list)-1] += line
		default:
			list = append(list, line)
		}
	}
	return list
}

func TestTheGuardSeesWhatItForbids(t *testing.T) {
	for i, line := range []string{"// TO" + "DO: later", "\tt.Ski" + "pNow()", "@pytest.mark.ski" + "pif(True)", "\ttime.Sle" + "ep(time.Second)"} {
		require.Regexp(t, forbiddenWords()[i].word, line)
	}
	require.Len(t, forbiddenWords(), 4)
	require.Equal(t, []string{"a==1 \\\n    --hash=sha256:0\n", "b==2\n"}, entries("# made\na==1 \\\n    --hash=sha256:0\n    # via b\n\nb==2\n"))
}
