package redis

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/tcp"
)

// connections tracks every open connection, so that all can be closed at once. As a
// hook of go-redis it also refuses to dial twice for one subscription: go-redis would
// re-subscribe silently, and messages published in between would be lost unnoticed.
type connections struct {
	mu   sync.Mutex
	open map[*conn]struct{}
}

// A conn is a tracked connection.
type conn struct {
	net.Conn

	all     *connections
	heard   atomic.Bool            // something was received, or looked for
	refusal atomic.Pointer[string] // what the server has said to refuse the connection
}

// A permit, carried by a context, allows one dial.
type permit struct {
	used atomic.Bool
	conn atomic.Pointer[net.Conn]
}

type permitKey struct{}

func withPermit(ctx context.Context) (context.Context, *permit) {
	p := &permit{}
	return context.WithValue(ctx, permitKey{}, p), p
}

// cut closes the connection that was dialed with the permit, which unblocks its reads
// and writes, and prevents a later dial.
func (p *permit) cut() {
	p.used.Store(true)
	if conn := p.conn.Load(); conn != nil {
		_ = (*conn).Close()
	}
}

// DialHook implements goredis.Hook.
func (cs *connections) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		p, _ := ctx.Value(permitKey{}).(*permit)
		if p != nil && !p.used.CompareAndSwap(false, true) {
			return nil, ErrConnectionLost
		}
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		conn = cs.add(conn)
		if p != nil {
			p.conn.Store(&conn)
		}
		return conn, nil
	}
}

// ProcessHook implements goredis.Hook.
func (cs *connections) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }

// ProcessPipelineHook implements goredis.Hook.
func (cs *connections) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (cs *connections) add(dialed net.Conn) net.Conn {
	c := &conn{Conn: dialed, all: cs}
	cs.mu.Lock()
	if cs.open == nil {
		cs.open = make(map[*conn]struct{})
	}
	cs.open[c] = struct{}{}
	cs.mu.Unlock()
	if t, ok := dialed.(*tcp.Conn); ok {
		return checked{c, t}
	}
	return c
}

// A checked connection lets go-redis test, before each use, whether the server has closed it.
type checked struct {
	*conn
	tcp *tcp.Conn
}

func (c checked) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.tcp.SyscallConn()
	return checker{raw, c.tcp}, err //nolint:wrapcheck // a net.Conn returns the connection's own error
}

// A checker makes this test with a cheaper system call. It calls the function of go-redis only if the
// connection is not idle.
type checker struct {
	syscall.RawConn
	tcp *tcp.Conn
}

func (c checker) Read(f func(fd uintptr) bool) error {
	if c.tcp.Idle() {
		return nil
	}
	return c.RawConn.Read(f) //nolint:wrapcheck // a net.Conn returns the connection's own error
}

func (c *conn) Close() error {
	c.all.mu.Lock()
	delete(c.all.open, c)
	c.all.mu.Unlock()
	return c.Conn.Close() //nolint:wrapcheck // a net.Conn returns the connection's own error
}

func (cs *connections) closeAll() {
	cs.mu.Lock()
	all := make([]*conn, 0, len(cs.open))
	for c := range cs.open {
		all = append(all, c)
	}
	cs.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}
