package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTail(t *testing.T) {
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, "line %d\n", i)
	}
	_, last20, _ := strings.Cut(many.String(), "line 79\n")
	tests := map[string]struct{ log, want string }{
		"of an empty log":           {"", ""},
		"of one line":               {"one\n", "one"},
		"without a last newline":    {"one\ntwo", "one\ntwo"},
		"of many lines":             {many.String(), strings.TrimSpace(last20)},
		"of one very long line":     {strings.Repeat("x", 100<<10), strings.Repeat("x", tailBytes)},
		"without the line cut off":  {strings.Repeat("x", 100<<10) + "\nlast\n", "last"},
		"of bytes that are no text": {"a\x00b\xffc\n", "ab\uFFFDc"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			require.NoError(t, os.WriteFile(path, []byte(test.log), 0o600))
			require.Equal(t, test.want, tail(path))
		})
	}
	require.Empty(t, tail("/nowhere/log"))
}
