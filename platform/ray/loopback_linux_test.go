package ray_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireLoopback requires that every listening TCP socket of the processes is
// bound to 127.0.0.1, in its IPv4 or its mapped form.
func requireLoopback(t *testing.T, pids []int) {
	t.Helper()
	sockets := map[string]bool{}
	for _, pid := range pids {
		links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		require.NoError(t, err)
		for _, link := range links {
			if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "socket:[") {
				sockets[strings.Trim(to, "socket:[]")] = true
			}
		}
	}
	seen := 0
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(table)
		require.NoError(t, err)
		for _, line := range strings.Split(string(b), "\n")[1:] {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "0A" || !sockets[f[9]] {
				continue
			}
			seen++
			address, _, _ := strings.Cut(f[1], ":")
			require.Contains(t, []string{"0100007F", "0000000000000000FFFF00000100007F"}, address, line)
		}
	}
	require.NotZero(t, seen)
}
