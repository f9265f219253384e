package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A front is the one address: it hands each new connection to the next replica
// that takes it, and passes bytes.
type front struct {
	ln       net.Listener
	replicas []*replica
	next     atomic.Uint64
	conns    sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// startFront listens. The wished-for port may be taken: then any other one will
// do, since all that depends on it is printed.
func (e *environment) startFront(context.Context) error {
	ln, err := net.Listen("tcp", e.options.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(e.options.Listen)
		ln, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return fmt.Errorf("listen in front: %w", err)
	}
	e.front = &front{ln: ln, replicas: e.replicas, open: map[net.Conn]struct{}{}}
	return nil
}

// serve passes connections on until ctx ends.
func (f *front) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, f.close)
	defer stop()
	for {
		conn, err := f.ln.Accept()
		if err != nil {
			break
		}
		f.conns.Go(func() { f.pass(ctx, conn) })
	}
	f.close()
	f.conns.Wait()
}

// pass connects a client with a replica until either side ends.
func (f *front) pass(ctx context.Context, client net.Conn) {
	defer f.drop(client)
	f.track(client)
	replica := f.dial(ctx)
	if replica == nil {
		return
	}
	defer f.drop(replica)
	f.track(replica)
	var wg sync.WaitGroup
	wg.Go(func() { forward(replica, client) })
	wg.Go(func() { forward(client, replica) })
	wg.Wait()
}

// forward copies until the source ends, and ends the destination's input: half a
// connection may go on, as TCP has it.
func forward(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if t, ok := to.(*net.TCPConn); ok && err == nil {
		_ = t.CloseWrite()
		return
	}
	_ = to.Close()
	_ = from.Close()
}

// dial tries the replicas in turn, once each.
func (f *front) dial(ctx context.Context) net.Conn {
	for range f.replicas {
		r := f.replicas[f.next.Add(1)%uint64(len(f.replicas))]
		if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", r.addr); err == nil {
			return conn
		}
	}
	return nil
}

func (f *front) track(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[c] = struct{}{}
}

func (f *front) drop(c net.Conn) {
	_ = c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
}

// close ends the listener, and leaves the connections to the replicas, which say
// goodbye on them when they stop.
func (f *front) close() { _ = f.ln.Close() }
