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

// A front is a TCP load balancer. It passes each connection to the next replica that accepts
// it.
type front struct {
	ln       net.Listener
	replicas []*replica
	next     atomic.Uint64
	conns    sync.WaitGroup
}

// startFront opens the listener. If the port is in use it takes a free one, which the report
// names.
func (e *environment) startFront(context.Context) error {
	ln, err := net.Listen("tcp", e.options.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(e.options.Listen)
		ln, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", e.options.Listen, err)
	}
	e.front = &front{ln: ln, replicas: e.replicas}
	return nil
}

// serve passes connections on until ctx ends. It leaves open connections to the replicas,
// which close them when they stop; wait waits for that.
func (f *front) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, f.close)
	defer stop()
	for {
		conn, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.conns.Go(func() { f.pass(ctx, conn) })
	}
}

func (f *front) wait() { f.conns.Wait() }

// pass connects a client to a replica until one of them closes the connection.
func (f *front) pass(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	replica := f.dial(ctx)
	if replica == nil {
		return
	}
	defer func() { _ = replica.Close() }()
	var wg sync.WaitGroup
	wg.Go(func() { forward(replica, client) })
	wg.Go(func() { forward(client, replica) })
	wg.Wait()
}

// forward copies until from ends, and then closes the writing side of to.
func forward(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if t, ok := to.(*net.TCPConn); ok && err == nil {
		_ = t.CloseWrite()
		return
	}
	_ = to.Close()
	_ = from.Close()
}

// dial tries each replica once. It returns nil if none accepts.
func (f *front) dial(ctx context.Context) net.Conn {
	for range f.replicas {
		r := f.replicas[f.next.Add(1)%uint64(len(f.replicas))]
		if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", r.Addr()); err == nil {
			return conn
		}
	}
	return nil
}

// close closes the listener.
func (f *front) close() { _ = f.ln.Close() }
