package ctl

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/roomspa/roomspa/internal/inspect"
	"github.com/roomspa/roomspa/internal/logging"
)

// A printer writes text and keeps the first error.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

// table writes rows as columns. Cells come from replicas, and may hold what clients sent.
func (p *printer) table(rows [][]string) {
	if p.err != nil {
		return
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = logging.Printable(cmp.Or(cell, "-"), " ")
		}
		_, _ = fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), " ")) // Flush returns the error
	}
	p.err = w.Flush()
}

// missing names the replicas that have not answered.
func (p *printer) missing(f *inspect.Fleet) {
	for _, m := range f.Missing {
		p.printf("Not included: replica %s\n", logging.Printable(m.String(), " "))
	}
}

// PrintConnections prints sockets as a table.
func PrintConnections(out io.Writer, c *inspect.Connections) error {
	p := &printer{out: out}
	rows := [][]string{{"REF", "REPLICA", "USER", "ROLE", "ENDPOINT", "ROOM", "DIALECT", "CLIENT", "ADDRESS", "AGE", "IDLE", "RTT", "QUEUE", "HELD", "IN", "OUT", "STATE"}}
	for i := range c.Connections {
		s := &c.Connections[i]
		rows = append(rows, []string{
			s.Ref, s.Replica, number(s.User), s.Role, s.Endpoint, s.Room, s.Dialect, s.Client, s.Address, span(s.AgeMS), span(s.IdleMS),
			roundTrip(s), queue(s), size(s.Held), strconv.Itoa(int(s.In)), strconv.Itoa(int(s.Out)), s.State,
		})
	}
	p.table(rows)
	p.printf("\n%d of %d sockets, %d users, %s\n", len(c.Connections), c.Total, c.Users, replicas(&c.Fleet))
	p.missing(&c.Fleet)
	return p.err
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func replicas(f *inspect.Fleet) string {
	if len(f.Replied) == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", len(f.Replied))
}

// span returns a time in milliseconds in a short form.
func span(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 100*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func roundTrip(s *inspect.Connection) string {
	switch {
	case s.PingWaitMS > 1000 || s.PingWaitMS > 0 && s.RoundTripMS == 0:
		return "waiting " + span(s.PingWaitMS)
	case s.RoundTripMS == 0:
		return ""
	}
	return fmt.Sprintf("%.1fms", s.RoundTripMS)
}

// queue returns the messages that wait for the client, and those that wait for the server.
func queue(s *inspect.Connection) string {
	if s.Received == 0 {
		return strconv.FormatInt(s.Queue, 10)
	}
	return fmt.Sprintf("%d out, %d in", s.Queue, s.Received)
}

// size returns a number of bytes in a short form.
func size(n int64) string {
	switch {
	case n < 10<<10:
		return strconv.FormatInt(n, 10)
	case n < 10<<20:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dMiB", n>>20)
}

// PrintTop prints how much the replicas do.
func PrintTop(out io.Writer, t *inspect.Top) error {
	p := &printer{out: out}
	p.printf("%s  %d sockets, %s\n\n", t.At.Format(time.TimeOnly), t.Sockets, replicas(&t.Fleet))
	rows := [][]string{{"REPLICA", "SOCKETS", "MSG/S", "DELIVERED/S", "POS/S", "HANDSHAKES/S", "REFUSED/S", "FAILED/S", "CLOSED/S", "MEMORY", "HELD", "VERSION"}}
	row := func(name string, sockets int, r inspect.Rates, memory, held, version string) {
		rows = append(rows, []string{
			name, strconv.Itoa(sockets), rate(r.Messages), rate(r.Delivered), rate(r.Positions), rate(r.Handshakes), rate(r.Refusals), rate(r.Failures), rate(r.Closes),
			memory, held, version,
		})
	}
	for i := range t.Replicas {
		r := &t.Replicas[i]
		name := r.Replica
		if r.Draining {
			name += " (draining)"
		}
		memory := ""
		if r.MemoryLimit > 0 {
			memory = size(r.MemoryUsed) + "/" + size(r.MemoryLimit)
		}
		row(name, r.Sockets, r.Rates, memory, size(r.Held), r.Version)
	}
	if len(t.Replicas) > 1 {
		row("all", t.Sockets, t.Rates, "", "", "")
	}
	p.table(rows)
	if len(t.SlowRooms) > 0 {
		p.printf("\nSlowest rooms of the last minute\n")
		rows = [][]string{{"ROOM", "WHAT", "WORST", "TIMES", "AGO", "REPLICA"}}
		for _, s := range t.SlowRooms {
			rows = append(rows, []string{s.Room, s.What, fmt.Sprintf("%.0fms", s.WorstMS), strconv.Itoa(s.Times), span(s.AgoMS), s.Replica})
		}
		p.table(rows)
	}
	if len(t.Queues) > 0 {
		p.printf("\nLongest queues\n")
		rows = [][]string{{"REF", "USER", "ENDPOINT", "ROOM", "QUEUE", "HELD", "RTT", "CLIENT", "REPLICA"}}
		for i := range t.Queues {
			s := &t.Queues[i]
			rows = append(rows, []string{s.Ref, number(s.User), s.Endpoint, s.Room, queue(s), size(s.Held), roundTrip(s), s.Client, s.Replica})
		}
		p.table(rows)
	}
	p.missing(&t.Fleet)
	return p.err
}

func rate(perSecond float64) string {
	if perSecond != 0 && perSecond < 10 {
		return fmt.Sprintf("%.1f", perSecond)
	}
	return fmt.Sprintf("%.0f", perSecond)
}

// PrintRules prints raised log levels. empty is what to say if there are none.
func PrintRules(out io.Writer, r *inspect.Rules, empty string) error {
	p := &printer{out: out}
	if len(r.Rules) == 0 {
		p.printf("%s\n", empty)
	} else {
		rows := [][]string{{"ID", "LEVEL", "FOR", "ENDS IN", "BY", "REPLICAS"}}
		for i := range r.Rules {
			f := &r.Rules[i]
			rows = append(rows, []string{f.ID, f.Level, f.Filter.String(), span(f.LeftMS), f.By, strings.Join(f.Replicas, ", ")})
		}
		p.table(rows)
	}
	p.missing(&r.Fleet)
	return p.err
}

// PrintClosed prints how many sockets are closed.
func PrintClosed(out io.Writer, c *inspect.Closed) error {
	p := &printer{out: out}
	var each []string
	for _, name := range slices.Sorted(maps.Keys(c.Replicas)) {
		each = append(each, fmt.Sprintf("%s: %d", logging.Printable(name, " "), c.Replicas[name]))
	}
	p.printf("Closed %d sockets with %d closed_by_operator (%s). Their clients reconnect.\n", c.Closed, c.Code, strings.Join(each, ", "))
	p.missing(&c.Fleet)
	return p.err
}

// PrintLine prints one line of a trace.
func PrintLine(out io.Writer, text []byte) error {
	var l inspect.Line
	if err := json.Unmarshal(text, &l); err != nil {
		return fmt.Errorf("read a line of the trace: %w", err)
	}
	words := []string{l.At.Format("15:04:05.000"), l.Replica}
	if l.Ref != "" {
		words = append(words, l.Ref, fmt.Sprintf("user %d", l.User), strings.TrimSpace(l.Endpoint+" "+l.Room))
	}
	words = append(words, l.Event)
	for _, key := range slices.Sorted(maps.Keys(l.Fields)) {
		words = append(words, key+"="+value(l.Fields[key]))
	}
	_, err := fmt.Fprintln(out, logging.Printable(strings.Join(words, "  "), " "))
	return err //nolint:wrapcheck // there is nowhere else to write
}

func value(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(text)
}
