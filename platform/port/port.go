// Package port says who holds a port of this machine.
package port

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	gnet "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// Check returns nil if every port of host, by the name of its setting, is free.
// The error names each that is not and the process that holds it. Port 0 is
// always free.
func Check(host string, ports map[string]int) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(ports)) {
		if err := Free(net.JoinHostPort(host, strconv.Itoa(ports[name]))); err != nil {
			errs = append(errs, fmt.Errorf("port %d (%s): %w", ports[name], name, err))
		}
	}
	return errors.Join(errs...)
}

// Free returns nil if nobody listens at address, host:port. The error names the
// process that does.
func Free(address string) error {
	listener, err := net.Listen("tcp", address)
	if err == nil {
		return listener.Close()
	}
	_, port, splitErr := net.SplitHostPort(address)
	number, numberErr := strconv.Atoi(port)
	if splitErr != nil || numberErr != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	return fmt.Errorf("%s is not free, it is held by %s: end that process or choose another port: %w", address, Holder(number), err)
}

// Holder names the process that listens on a port, as far as this user may see.
func Holder(number int) string {
	connections, err := gnet.Connections("tcp")
	if err != nil {
		return "a process that could not be found"
	}
	for _, c := range connections {
		if c.Status == "LISTEN" && c.Laddr.Port == uint32(number) && c.Pid != 0 {
			return describe(c.Pid)
		}
	}
	return "a process of another user"
}

func describe(pid int32) string {
	p, err := process.NewProcess(pid)
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	name, err := p.Name()
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, name)
}
