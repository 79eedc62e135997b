package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
)

// tunnel is a port on 127.0.0.1 that leads to a port of a pod. Its address
// stays when the pod goes: the next connection goes to another one.
type tunnel struct {
	// reach opens a connection to a pod and tells the port.
	reach func(context.Context) (httpstream.Connection, int, error)

	listener net.Listener
	cancel   context.CancelFunc
	serving  sync.WaitGroup

	mu       sync.Mutex
	pod      httpstream.Connection
	port     int
	requests int
	// trouble is why the last local connection came to nothing.
	trouble error
}

func (t *tunnel) address() string { return t.listener.Addr().String() }

// open reaches a pod, and listens if there is one.
func (t *tunnel) open(ctx context.Context) error {
	if _, _, err := t.connection(ctx); err != nil {
		return err
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.closePod()
		return fmt.Errorf("listen for what is forwarded: %w", err)
	}
	t.listener = listener
	ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	t.serving.Go(func() { t.serve(ctx) })
	return nil
}

func (t *tunnel) serve(ctx context.Context) {
	for {
		conn, err := t.listener.Accept()
		if err != nil {
			return
		}
		t.serving.Go(func() {
			// All that a client sees is that its connection ends.
			t.note(t.carry(ctx, conn))
			_ = conn.Close()
		})
	}
}

func (t *tunnel) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trouble = err
}

// carry copies between a local connection and the pod's port. An account of a
// failure from the pod's side ends the whole connection to the pod, as kubectl
// does: the next local connection looks for a ready one.
func (t *tunnel) carry(ctx context.Context, local net.Conn) error {
	pod, headers, err := t.connection(ctx)
	if err != nil {
		return err
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failures, err := pod.CreateStream(headers)
	if err != nil {
		t.drop(pod)
		return fmt.Errorf("open a stream to the pod: %w", err)
	}
	defer pod.RemoveStreams(failures)
	_ = failures.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := pod.CreateStream(headers)
	if err != nil {
		t.drop(pod)
		return fmt.Errorf("open a stream to the pod: %w", err)
	}
	defer pod.RemoveStreams(data)
	exchange(ctx, local, data)
	_ = data.Reset() // what is not sent would hold up the account of a failure
	account, err := io.ReadAll(failures)
	if err == nil && len(account) > 0 {
		err = errors.New(string(account))
	}
	if err != nil {
		t.drop(pod)
		return fmt.Errorf("forward to the pod: %w", err)
	}
	return nil
}

// exchange copies both ways until the pod's side has ended, the local side
// broke, or ctx ended.
func exchange(ctx context.Context, local net.Conn, data httpstream.Stream) {
	var copying sync.WaitGroup
	over := make(chan struct{}, 2)
	copying.Go(func() {
		_, _ = io.Copy(local, data)
		over <- struct{}{}
	})
	copying.Go(func() {
		_, err := io.Copy(data, local)
		_ = data.Close() // says that nothing more comes; answers may still
		if err != nil {
			over <- struct{}{}
		}
	})
	select {
	case <-over:
	case <-ctx.Done():
	}
	_ = data.Reset()
	_ = local.Close()
	copying.Wait()
}

// connection is the open connection to a pod, or a new one, with the headers of
// the next pair of streams.
func (t *tunnel) connection(ctx context.Context) (httpstream.Connection, http.Header, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pod != nil && isClosed(t.pod) {
		t.pod = nil
	}
	if t.pod == nil {
		pod, port, err := t.reach(ctx)
		if err != nil {
			return nil, nil, err
		}
		t.pod, t.port = pod, port
	}
	t.requests++
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(t.port))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(t.requests))
	return t.pod, headers, nil
}

func isClosed(pod httpstream.Connection) bool {
	select {
	case <-pod.CloseChan():
		return true
	default:
		return false
	}
}

// drop ends a connection to a pod, unless another has taken its place.
func (t *tunnel) drop(pod httpstream.Connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pod == pod {
		t.pod = nil
	}
	_ = pod.Close()
}

func (t *tunnel) closePod() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pod != nil {
		_ = t.pod.Close()
		t.pod = nil
	}
}

func (t *tunnel) close() {
	t.cancel()
	_ = t.listener.Close()
	t.closePod()
	t.serving.Wait()
}
