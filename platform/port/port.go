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
		if err := free(host, ports[name]); err != nil {
			errs = append(errs, fmt.Errorf("port %d (%s) is held by %s: end that process or choose another port: %w", ports[name], name, Holder(ports[name]), err))
		}
	}
	return errors.Join(errs...)
}

func free(host string, number int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(number)))
	if err != nil {
		return err
	}
	return listener.Close()
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
