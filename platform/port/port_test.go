package port_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/platform/port"
)

func TestAPortInUseIsToldWithItsHolder(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	number := listener.Addr().(*net.TCPAddr).Port

	err = port.Check("127.0.0.1", map[string]int{"mlflow": number, "s3": 0})
	require.ErrorContains(t, err, fmt.Sprintf("port %d (mlflow): 127.0.0.1:%d is not free, it is held by process %d", number, number, os.Getpid()))
	require.NotContains(t, err.Error(), "s3")
}

func TestFreePortsAreFine(t *testing.T) {
	require.NoError(t, port.Check("127.0.0.1", map[string]int{"s3": 0}))
}
