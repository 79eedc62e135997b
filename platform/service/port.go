package service

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// FreePort returns a port of host that nobody listens on now.
func FreePort(host string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, fmt.Errorf("look for a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err = errors.Join(err, l.Close()); err != nil {
		return 0, fmt.Errorf("look for a free port: %w", err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0, fmt.Errorf("look for a free port: %w", err)
	}
	return n, nil
}
