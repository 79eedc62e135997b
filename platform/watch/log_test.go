package watch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestLastKeepsTheEnd(t *testing.T) {
	var all bytes.Buffer
	for i := range 200_000 {
		fmt.Fprintf(&all, "line %d of a long log\n", i)
	}
	got, err := last(bytes.NewReader(all.Bytes()))
	require.NoError(t, err)
	require.Equal(t, all.Bytes()[all.Len()-logBytes:], got)
	got, err = last(strings.NewReader("short"))
	require.NoError(t, err)
	require.Equal(t, "short", string(got))
	_, err = last(io.MultiReader(strings.NewReader("x"), iotest.ErrReader(errors.New("cut"))))
	require.EqualError(t, err, "cut")
}

func TestTail(t *testing.T) {
	many := strings.Repeat("line\n", 100)
	for name, tc := range map[string]struct{ log, want string }{
		"of an empty log":      {"", ""},
		"of many lines":        {many, strings.TrimSpace(strings.Repeat("line\n", tailLines))},
		"without colours":      {"\x1b[36mNext\x1b[39m\n", "Next"},
		"without the cut line": {strings.Repeat("x", 2*tailBytes) + "\nlast\n", "last"},
		"of bytes":             {"a\x00b\xff", "ab\uFFFD"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, tail([]byte(tc.log))) })
	}
}
