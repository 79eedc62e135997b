package small

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Cgroup is the file of the folder that names the control group to run in.
const Cgroup = "cgroup"

// taker is what a workload in Python does when it gets no more memory.
const taker = `
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
bytearray(1 << 32)
`

// memory takes memory until that ends the process.
func (a *attempt) memory() error {
	group, err := os.ReadFile(filepath.Join(a.folder, Cgroup))
	if errors.Is(err, fs.ErrNotExist) {
		python := exec.Command("python", "-c", taker)
		python.Stdout, python.Stderr = a.log, a.log
		return python.Run()
	}
	if err != nil {
		return fmt.Errorf("find the control group: %w", err)
	}
	members := filepath.Join(strings.TrimSpace(string(group)), "cgroup.procs")
	if err := os.WriteFile(members, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil { //nolint:gosec // the test wrote the path
		return fmt.Errorf("enter the control group: %w", err)
	}
	var taken [][]byte
	for range 1 << 12 {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 1 << 12 {
			block[i] = 1
		}
		taken = append(taken, block)
	}
	return fmt.Errorf("the kernel gave %d MiB", len(taken))
}
