// Package logging creates the logger and writes log lines with a bracketed component, a fixed
// message and fields.
package logging

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"
)

// Options are the settings of a logger.
type Options struct {
	Format  string // text (logfmt) or json
	Level   string // debug, info, warn or error
	Replica string // added to every line
}

// New returns a logger that writes one line per event to w.
func New(w io.Writer, o Options) *slog.Logger {
	level := map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError}[o.Level]
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: replaceAttr}
	var h slog.Handler = slog.NewTextHandler(w, opts)
	if o.Format == "json" {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(h).With("replica", o.Replica)
}

// replaceAttr writes WARNING, which operators filter by, instead of slog's WARN, and times in
// UTC.
func replaceAttr(groups []string, a slog.Attr) slog.Attr {
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

// Component logs an event of a component that belongs to no connection, for example
// "[JWKS] Keys loaded: 2".
func Component(log *slog.Logger, level slog.Level, component, msg string, attrs ...slog.Attr) {
	if log.Enabled(context.Background(), level) {
		log.LogAttrs(context.Background(), level, "["+component+"] "+msg, append(attrs, slog.String("component", component))...)
	}
}

// A Conn logs the events of one connection. Each line has its reference and remote address. It
// is small, because every socket keeps one. Its methods are safe for concurrent use unless they
// say otherwise.
type Conn struct {
	Log    *slog.Logger
	Ref    string
	Remote string // address of the client
	Mask   bool   // mask personal data
	watch  uint32 //nolint:modernize // see SetWatch; no atomic.Uint32, because a Conn is copied before it is used
	Trace  string // trace id that the client sent; "" if it sent none

	held *[]line // INFO lines that are held back; nil if lines are written at once
}

// A line is what a log line says apart from the fields that every line of the connection has.
type line struct {
	at             time.Time
	level          slog.Level
	component, msg string
	attrs          []slog.Attr
}

// usualLines is the number of lines that are held back without growing the list. A handshake has about 14.
const usualLines = 16

// Hold holds the following INFO lines back until [Conn.Release] writes them or [Conn.Drop]
// discards them. They keep their times. Warnings and errors are written at once. Hold, Release,
// Drop and Info must be called from one goroutine while lines are held back.
func (c *Conn) Hold() {
	if c.held == nil {
		held := make([]line, 0, usualLines)
		c.held = &held
	}
}

// Release writes the lines that are held back. The following ones are written at once.
func (c *Conn) Release() {
	if c.held == nil || c.held == muted {
		return
	}
	lines := *c.held
	c.held = nil
	for i := range lines {
		c.write(&lines[i])
	}
}

// muted is held by connections that write no INFO lines any more. It stays empty.
var muted = new([]line)

// Mute discards the INFO lines that are held back and those that follow.
func (c *Conn) Mute() { c.held = muted }

// Drop discards the lines that are held back and reports whether lines were held back. The
// following ones are written at once.
func (c *Conn) Drop() bool {
	held := c.held != nil
	c.held = nil
	return held
}

// Info logs an event of normal operation.
func (c *Conn) Info(component, msg string, attrs ...slog.Attr) {
	if c.held != nil {
		if c.held != muted && c.enabled(slog.LevelInfo) {
			*c.held = append(*c.held, line{time.Now(), slog.LevelInfo, component, msg, attrs})
		}
		return
	}
	c.log(slog.LevelInfo, component, msg, attrs)
}

// Audit logs what a user with special rights reads, under the component Audit. The line is
// written at once, at the level INFO, while lines are held back and whatever the level of the
// logger is.
func (c *Conn) Audit(msg string, attrs ...slog.Attr) {
	c.write(&line{time.Now(), slog.LevelInfo, "Audit", msg, attrs})
}

// Warn logs an event that is unusual but handled.
func (c *Conn) Warn(component, msg string, attrs ...slog.Attr) {
	c.log(slog.LevelWarn, component, msg, attrs)
}

// Error logs an event that needs attention.
func (c *Conn) Error(component, msg string, attrs ...slog.Attr) {
	c.log(slog.LevelError, component, msg, attrs)
}

func (c *Conn) log(level slog.Level, component, msg string, attrs []slog.Attr) {
	if c.enabled(level) {
		c.write(&line{time.Now(), level, component, msg, attrs})
	}
}

// fields returns attrs after the fields that every line of the connection has.
func (c *Conn) fields(component string, attrs []slog.Attr) []slog.Attr {
	all := make([]slog.Attr, 0, 4+len(attrs))
	all = append(all, slog.String("component", component), slog.String("ref", c.Ref), slog.String("remote", c.Remote))
	if c.Trace != "" {
		all = append(all, slog.String("trace_id", c.Trace))
	}
	return append(all, attrs...)
}

// Email returns an e-mail address for the log, masked if Mask is set.
func (c *Conn) Email(s string) string {
	if c.Mask {
		return Mask(s)
	}
	return s
}

// Mask masks an e-mail address or phone number. Only the first character and the domain stay:
// u***@example.com.
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
