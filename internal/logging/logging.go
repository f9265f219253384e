// Package logging makes the logger, and the lines that operators grep for: a
// bracketed component, a fixed wording, and fields behind it.
package logging

import (
	"context"
	"io"
	"log/slog"
	"strings"
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
}

// Info logs a line of normal operation.
func (c *Conn) Info(component, msg string, attrs ...slog.Attr) {
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
	all := make([]slog.Attr, 0, 3+len(attrs))
	all = append(all, slog.String("component", component), slog.String("ref", c.Ref), slog.String("remote", c.Remote))
	c.Log.LogAttrs(ctx, level, "["+component+"] "+msg, append(all, attrs...)...)
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
