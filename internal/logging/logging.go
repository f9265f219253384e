// Package logging makes the logger, and the lines that operators grep for: a
// bracketed component, a fixed wording, and fields behind it.
package logging

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"
)

// Options says what is logged and how.
type Options struct {
	Format  string // text (logfmt) or json
	Level   string // debug, info, warn or error
	Replica string // stands in every line
}

// New returns a logger that writes one event a line to w.
func New(w io.Writer, o Options) *slog.Logger {
	level := map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError}[o.Level]
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: wireNames}
	var h slog.Handler = slog.NewTextHandler(w, opts)
	if o.Format == "json" {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(h).With("replica", o.Replica)
}

// wireNames writes WARNING, which the operators' filters know, for slog's WARN,
// and times in UTC.
func wireNames(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.LevelKey:
		if a.Value.Any() == slog.LevelWarn {
			a.Value = slog.StringValue("WARNING")
		}
	case slog.TimeKey:
		a.Value = slog.StringValue(a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	return a
}

// Component logs one event of a component that belongs to no connection, as in
// "[ChannelLayer] Subscribed again".
func Component(log *slog.Logger, level slog.Level, component, msg string, attrs ...slog.Attr) {
	if log.Enabled(context.Background(), level) {
		log.LogAttrs(context.Background(), level, "["+component+"] "+msg, append(attrs, slog.String("component", component))...)
	}
}

// A Conn logs for one connection: each line carries the reference and the remote
// address. It is small, so that a socket can keep one.
type Conn struct {
	Log    *slog.Logger
	Ref    string
	Remote string // address of the client
	Mask   bool   // personal data is masked

	held *[]slog.Record // INFO lines that may never be written; nil for writing them
}

// Hold keeps the INFO lines that follow, with their times, until it is known whether
// they are worth writing: [Conn.Release] writes them, [Conn.Drop] forgets them. It
// is for one goroutine; warnings and errors are written at once, by any.
func (c *Conn) Hold() { c.held = new([]slog.Record) }

// Release writes the lines that are held, and those that follow at once.
func (c *Conn) Release() {
	if c.held == nil {
		return
	}
	lines := *c.held
	c.held = nil
	for _, r := range lines {
		_ = c.Log.Handler().Handle(context.Background(), r) // as slog does, which has nobody to tell
	}
}

// Drop forgets the lines that are held, and lets those that follow be written. It
// reports whether there were any to forget.
func (c *Conn) Drop() bool {
	held := c.held != nil
	c.held = nil
	return held
}

// Info logs a line of normal operation.
func (c *Conn) Info(component, msg string, attrs ...slog.Attr) {
	if c.held != nil {
		if c.Log.Enabled(context.Background(), slog.LevelInfo) {
			r := slog.NewRecord(time.Now(), slog.LevelInfo, "["+component+"] "+msg, 0)
			r.AddAttrs(c.all(component, attrs)...)
			*c.held = append(*c.held, r)
		}
		return
	}
	c.line(slog.LevelInfo, component, msg, attrs)
}

// Warn logs a line that is unusual but handled.
func (c *Conn) Warn(component, msg string, attrs ...slog.Attr) {
	c.line(slog.LevelWarn, component, msg, attrs)
}

// Error logs a line that needs attention.
func (c *Conn) Error(component, msg string, attrs ...slog.Attr) {
	c.line(slog.LevelError, component, msg, attrs)
}

func (c *Conn) line(level slog.Level, component, msg string, attrs []slog.Attr) {
	ctx := context.Background()
	if !c.Log.Enabled(ctx, level) {
		return
	}
	c.Log.LogAttrs(ctx, level, "["+component+"] "+msg, c.all(component, attrs)...)
}

// all returns the fields of a line.
func (c *Conn) all(component string, attrs []slog.Attr) []slog.Attr {
	all := make([]slog.Attr, 0, 3+len(attrs))
	all = append(all, slog.String("component", component), slog.String("ref", c.Ref), slog.String("remote", c.Remote))
	return append(all, attrs...)
}

// Email returns an e-mail address as it may be logged.
func (c *Conn) Email(s string) string {
	if c.Mask {
		return Mask(s)
	}
	return s
}

// Mask hides all of an e-mail address or phone number but its first character
// and, of an address, its domain: u***@example.com.
func Mask(s string) string {
	if s == "" {
		return ""
	}
	name, domain, isMail := strings.Cut(s, "@")
	first := ""
	for _, r := range name {
		first = string(r)
		break
	}
	if isMail {
		return first + "***@" + domain
	}
	return first + "***"
}
