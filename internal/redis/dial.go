package redis

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
)

// lines watches the library dial. It knows every open connection, so that all of
// them can be cut at once, and it refuses to dial twice for one subscriber: the
// library would re-subscribe behind our back, and nobody would know that
// messages were lost in between.
type lines struct {
	mu   sync.Mutex
	open map[*line]struct{}
}

type line struct {
	net.Conn

	lines *lines
	heard atomic.Int32 // nothing, something or full
}

// A ticket in a context is good for one dial.
type ticket struct {
	used atomic.Bool
	conn atomic.Pointer[net.Conn]
}

type ticketKey struct{}

func withTicket(ctx context.Context) (context.Context, *ticket) {
	t := &ticket{}
	return context.WithValue(ctx, ticketKey{}, t), t
}

// cut closes the connection that the ticket paid for, and makes a blocked read or
// write on it return.
func (t *ticket) cut() {
	t.used.Store(true)
	if conn := t.conn.Load(); conn != nil {
		_ = (*conn).Close()
	}
}

// DialHook implements goredis.Hook.
func (l *lines) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		t, _ := ctx.Value(ticketKey{}).(*ticket)
		if t != nil && !t.used.CompareAndSwap(false, true) {
			return nil, errRedial
		}
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		conn = l.add(conn)
		if t != nil {
			t.conn.Store(&conn)
		}
		return conn, nil
	}
}

// ProcessHook implements goredis.Hook.
func (l *lines) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }

// ProcessPipelineHook implements goredis.Hook.
func (l *lines) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (l *lines) add(conn net.Conn) net.Conn {
	entry := &line{Conn: conn, lines: l}
	l.mu.Lock()
	if l.open == nil {
		l.open = make(map[*line]struct{})
	}
	l.open[entry] = struct{}{}
	l.mu.Unlock()
	if raw, ok := conn.(syscall.Conn); ok { // the library looks at it to find dead idle connections
		return struct {
			*line
			syscall.Conn
		}{entry, raw}
	}
	return entry
}

func (l *line) Close() error {
	l.lines.mu.Lock()
	delete(l.lines.open, l)
	l.lines.mu.Unlock()
	return l.Conn.Close() //nolint:wrapcheck // it stands for the connection
}

// cutAll closes every connection. What is under way on them fails, and the next
// command dials again, and so asks again who the master is.
func (l *lines) cutAll() {
	l.mu.Lock()
	all := make([]*line, 0, len(l.open))
	for entry := range l.open {
		all = append(all, entry)
	}
	l.mu.Unlock()
	for _, entry := range all {
		_ = entry.Close()
	}
}
