package connect

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
)

// A style is an ANSI SGR sequence (ECMA-48 §8.3.117).
type style string

const (
	plain  style = ""
	dim    style = "2"
	bold   style = "1"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (v *view) paint(s style, text string) string {
	if !v.color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// printable makes text safe for the terminal. It indents continuation lines.
func printable(text string) string { return logging.Printable(text, "\n    ") }

// localTime shows a frame's timestamp as a time of day in the local time zone.
func localTime(timestamp string) string {
	at, err := time.Parse(time.RFC3339, timestamp)
	if err != nil {
		return printable(timestamp)
	}
	return at.Local().Format(time.TimeOnly)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func milliseconds(d time.Duration) string {
	if d < time.Millisecond {
		return "<1 ms"
	}
	return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

func seqText(seq int64) string { return "#" + strconv.FormatInt(seq, 10) }

// info shows a remark of the command's own, except in JSON.
func (v *view) info(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.json {
		v.writeLine(v.paint(dim, fmt.Sprintf(format, args...)))
	}
}

// warn shows an error in the input.
func (v *view) warn(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.json {
		_, _ = fmt.Fprintln(v.err, "roomspa: "+printable(err.Error()))
		return
	}
	v.writeLine(v.paint(red, "! "+printable(err.Error())))
}

func (v *view) showHelp() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.json {
		_, _ = fmt.Fprintln(v.err, help)
		return
	}
	v.writeLine(help)
}

func (v *view) writeLine(text string) {
	_, _ = io.WriteString(v.out, text+"\n") // a closed output must not end the connection
}
