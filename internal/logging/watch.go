package logging

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Watch says what somebody wants to know of one connection, beyond what the level of the
// logger shows.
type Watch uint32

// The values of Watch, which can be combined.
const (
	WatchInfo  Watch = 1 << iota // lines of the level INFO are written
	WatchDebug                   // lines of the level DEBUG are written
	WatchTrace                   // lines of [Conn.Debug] and [Conn.Note] go to the traces
)

// raisedRate and raisedBurst bound the lines per second that are written only because the
// level was raised: a busy replica must not fill its disk.
const raisedRate, raisedBurst = 1000, 2000

// A TraceFunc takes a line of a connection that is traced. It must not block, must not keep
// attrs, and must be safe for concurrent use.
type TraceFunc func(ref, component, msg string, attrs []slog.Attr)

// Levels is a [slog.Handler] whose level can be raised while it runs, for everything, or with
// [Conn.SetWatch] for one connection. It also passes the lines of traced connections on. It is
// safe for concurrent use.
type Levels struct {
	slog.Handler

	state *levels
}

type levels struct {
	raised  atomic.Int64 // level at which lines of no connection are written, too
	trace   atomic.Pointer[TraceFunc]
	limiter *rate.Limiter
	dropped atomic.Int64
}

// NewLevels returns a handler that writes to h. The Handle of h must write a record of any
// level, as those of package slog do.
func NewLevels(h slog.Handler) *Levels {
	l := &Levels{h, &levels{limiter: rate.NewLimiter(raisedRate, raisedBurst)}}
	l.Raise(math.MaxInt64)
	return l
}

// Enabled implements [slog.Handler].
func (l *Levels) Enabled(ctx context.Context, level slog.Level) bool {
	return int64(level) >= l.state.raised.Load() || l.Handler.Enabled(ctx, level)
}

// Handle implements [slog.Handler]. It drops lines that are written only because the level was
// raised if there are too many.
func (l *Levels) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo && !l.Handler.Enabled(ctx, r.Level) && !l.state.limiter.Allow() {
		l.state.dropped.Add(1)
		return nil
	}
	return l.Handler.Handle(ctx, r) //nolint:wrapcheck // it stands for the handler
}

// WithAttrs implements [slog.Handler].
func (l *Levels) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Levels{l.Handler.WithAttrs(attrs), l.state}
}

// WithGroup implements [slog.Handler].
func (l *Levels) WithGroup(name string) slog.Handler {
	return &Levels{l.Handler.WithGroup(name), l.state}
}

// Raise makes the handler write all lines from a level on, beside those that it writes anyway.
// A level of math.MaxInt64 ends that.
func (l *Levels) Raise(level slog.Level) { l.state.raised.Store(int64(level)) }

// Trace passes the lines of traced connections to f. nil ends that.
func (l *Levels) Trace(f TraceFunc) {
	if f == nil {
		l.state.trace.Store(nil)
		return
	}
	l.state.trace.Store(&f)
}

// Dropped returns how many lines were dropped since the last call.
func (l *Levels) Dropped() int64 { return l.state.dropped.Swap(0) }

// Audit writes a line about what an operator did, under the component Audit, whatever the
// level of the logger is.
func Audit(log *slog.Logger, msg string, attrs ...slog.Attr) {
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "[Audit] "+msg, 0)
	r.AddAttrs(append(attrs, slog.String("component", "Audit"))...)
	_ = log.Handler().Handle(context.Background(), r) // slog ignores the error too
}

// SetWatch sets what is shown of the connection.
func (c *Conn) SetWatch(w Watch) { atomic.StoreUint32(&c.watch, uint32(w)) }

// Watched reports whether [Conn.Debug] does anything. It is one atomic load, so call it before
// the arguments of Debug are made.
func (c *Conn) Watched() bool { return atomic.LoadUint32(&c.watch) != 0 }

func (c *Conn) watches(w Watch) bool { return Watch(atomic.LoadUint32(&c.watch))&w != 0 }

// Debug logs a detail, and passes it to the traces of the connection. Neither msg nor attrs may
// contain text, tokens or personal data. It does nothing unless the connection is watched.
func (c *Conn) Debug(component, msg string, attrs ...slog.Attr) {
	if c.watches(WatchDebug) {
		c.write(&line{time.Now(), slog.LevelDebug, component, msg, attrs})
	}
	c.Note(component, msg, attrs...)
}

// Note is Debug for what the log has in another line.
func (c *Conn) Note(component, msg string, attrs ...slog.Attr) {
	if !c.watches(WatchTrace) {
		return
	}
	if l := findLevels(c.Log.Handler()); l != nil {
		if f := l.state.trace.Load(); f != nil {
			(*f)(c.Ref, component, msg, attrs)
		}
	}
}

// findLevels returns the handler of package logging below h, or nil.
func findLevels(h slog.Handler) *Levels {
	if s, ok := h.(*Strangers); ok {
		h = s.Handler
	}
	l, _ := h.(*Levels)
	return l
}

// enabled reports whether a line of the connection is written.
func (c *Conn) enabled(level slog.Level) bool {
	return c.watches(WatchDebug) || level >= slog.LevelInfo && c.watches(WatchInfo) || c.Log.Enabled(context.Background(), level)
}

// write writes a line of any level.
func (c *Conn) write(l *line) {
	r := slog.NewRecord(l.at, l.level, "["+l.component+"] "+l.msg, 0)
	r.AddAttrs(c.fields(l.component, l.attrs)...)
	_ = c.Log.Handler().Handle(context.Background(), r) // slog ignores the error too
}
