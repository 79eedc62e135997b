package process

import (
	"os"
	"strconv"
	"strings"
)

// oomKills counts the processes that the kernel killed for want of memory since
// boot. It counts for the whole machine: that one of them was ours is likely,
// not certain.
func oomKills() int {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(count))
			return n
		}
	}
	return 0
}
