package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// A bridge leads the connections of another process through a network of this one.
type bridge struct {
	listener net.Listener
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	serving  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newBridge(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error)) (*bridge, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for another process: %w", err)
	}
	b := &bridge{listener: l, dial: dial, conns: map[net.Conn]bool{}}
	b.serving.Go(func() { b.serve(ctx) })
	return b, nil
}

func (b *bridge) addr() string { return b.listener.Addr().String() }

func (b *bridge) serve(ctx context.Context) {
	for {
		c, err := b.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			b.serving.Go(func() { b.join(ctx, c) })
		}
	}
}

// join copies between a connection and a new one of the network, until one of them ends.
func (b *bridge) join(ctx context.Context, near net.Conn) {
	b.add(near)
	defer b.remove(near)
	far, err := b.dial(ctx, "tcp", "")
	if err != nil {
		return // the process sees that its connection ends
	}
	b.add(far)
	defer b.remove(far)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(near, far)
		_ = near.Close()
	})
	_, _ = io.Copy(far, near)
	_ = far.Close()
	back.Wait()
}

func (b *bridge) add(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns[c] = true
}

func (b *bridge) remove(c net.Conn) {
	_ = c.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
}

// cut closes all connections.
func (b *bridge) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		_ = c.Close()
	}
}

// close ends the bridge.
func (b *bridge) close() {
	_ = b.listener.Close()
	b.cut()
	b.serving.Wait()
}
