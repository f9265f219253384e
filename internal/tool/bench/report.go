package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Report is what a run has found. Times are milliseconds unless the name says
// otherwise.
type Report struct {
	Kind        string      `json:"kind"`
	Mode        string      `json:"mode"` // rate, max or idle
	URLs        []string    `json:"urls"`
	Rooms       int         `json:"rooms"`
	Interrupted bool        `json:"interrupted,omitempty"`
	Connections Connections `json:"connections"`
	Messages    *Messages   `json:"messages,omitempty"`
	// Refused counts error frames by code, Closes the sockets that ended before their
	// time by close code and reason.
	Refused  map[string]int64 `json:"refused,omitempty"`
	Closes   map[string]int64 `json:"closes,omitempty"`
	Replicas []Replica        `json:"replicas,omitempty"`
	Total    *Replica         `json:"total,omitempty"` // all replicas together
}

// Connections is what became of the handshakes.
type Connections struct {
	Wanted              int              `json:"wanted"`
	Opened              int64            `json:"opened"`
	Failed              int64            `json:"failed"`
	HandshakesPerSecond float64          `json:"handshakes_per_second"`
	Handshake           Latency          `json:"handshake"` // from the dial to the connected frame
	Failures            map[string]int64 `json:"failures,omitempty"`
}

// Messages is what became of the messages. Sent counts all; rates and latencies
// are of those that were due while it was measured.
type Messages struct {
	Senders         int     `json:"senders"`
	OfferedPerSec   float64 `json:"offered_per_second,omitempty"`
	Seconds         float64 `json:"seconds"`
	PerSecond       float64 `json:"per_second"`        // delivered back to their senders
	FramesPerSecond float64 `json:"frames_per_second"` // delivered to all sockets
	Latency         Latency `json:"latency"`           // from due to delivered to another socket
	Echo            Latency `json:"echo"`              // from due to delivered to the sender
	Ack             Latency `json:"ack"`               // from due to acknowledged; chat

	Sent         int64 `json:"sent"`
	Lost         int64 `json:"lost"`     // acknowledged and not delivered, for each socket
	Repeated     int64 `json:"repeated"` // delivered more than once, for each socket
	Reordered    int64 `json:"reordered"`
	Misdelivered int64 `json:"misdelivered"` // delivered into another room
	Late         int64 `json:"late"`         // still under way when the drain time was over
	Unanswered   int64 `json:"unanswered"`   // neither acknowledged nor refused
	Superseded   int64 `json:"superseded"`   // positions left out for newer ones
	Stalls       int64 `json:"stalls"`       // --max: sent on after five seconds without a delivery
	Foreign      int64 `json:"foreign"`      // messages of somebody else
}

// A Replica is what one used.
type Replica struct {
	Name               string  `json:"name"`
	Connections        float64 `json:"connections"` // -1 where it does not say
	MemoryBefore       float64 `json:"memory_before_bytes"`
	Memory             float64 `json:"memory_bytes"`
	BytesPerConnection float64 `json:"bytes_per_connection,omitempty"`
	CPUSeconds         float64 `json:"cpu_seconds"`
	CPUPercent         float64 `json:"cpu_percent"`
	CPUMsPerMessage    float64 `json:"cpu_ms_per_message,omitempty"`
	Error              string  `json:"error,omitempty"`
}

// Bad reports whether the servers broke a promise.
func (r *Report) Bad() bool {
	m := r.Messages
	return m != nil && m.Lost+m.Repeated+m.Reordered+m.Misdelivered > 0
}

func (r *run) report(ctx context.Context) *Report {
	t := &r.tally
	out := &Report{
		Kind: r.o.Kind, Mode: "idle", URLs: r.o.URLs, Rooms: r.o.Rooms, Interrupted: ctx.Err() != nil,
		Connections: Connections{
			Wanted: r.o.Sockets, Opened: t.opened.Load(), Failed: t.failed.Load(),
			HandshakesPerSecond: float64(t.opened.Load()) / max(1e-3, time.Duration(t.dialling.Load()).Seconds()),
			Handshake:           t.handshake.latency(), Failures: t.copied(&t.failures),
		},
		Refused: t.copied(&t.refusals), Closes: t.copied(&t.closes),
	}
	if t.sent.Load() > 0 {
		out.Messages = r.messages()
	}
	switch {
	case r.o.Rate > 0:
		out.Mode = "rate"
	case r.o.Max:
		out.Mode = "max"
	}
	for _, w := range r.watch.all {
		out.Replicas = append(out.Replicas, w.replica())
	}
	if len(out.Replicas) > 0 {
		out.Total = total(out.Replicas, float64(out.Connections.Opened), float64(r.window.messages.Load()))
	}
	return out
}

func (r *run) messages() *Messages {
	t, w, v := &r.tally, &r.window, r.judge()
	m := &Messages{
		Senders: len(r.senders), OfferedPerSec: r.o.Rate, Latency: w.latency.latency(), Echo: w.echo.latency(), Ack: w.ack.latency(),
		Sent: t.sent.Load(), Lost: v.lost, Repeated: v.repeated, Reordered: v.reordered, Unanswered: v.unanswered,
		Superseded: v.superseded, Misdelivered: t.misdelivered.Load(), Stalls: t.stalls.Load(), Foreign: t.foreign.Load(),
	}
	if t.late.Load() {
		m.Late, m.Lost = m.Lost, 0
	}
	from, to := w.from.Load(), cmp.Or(w.to.Load(), int64(r.now()))
	if from > 0 {
		// What was due in time and came late was not delivered at that rate.
		m.Seconds = time.Duration(max(to, w.ended.Load()) - from).Seconds()
		m.PerSecond = float64(w.messages.Load()) / max(1e-3, m.Seconds)
		m.FramesPerSecond = float64(w.frames.Load()) / max(1e-3, m.Seconds)
	}
	return m
}

func (w *watcher) replica() Replica {
	at := &w.saw
	p := Replica{Name: w.name, Connections: at[open].connections, MemoryBefore: at[before].rss, Memory: max(at[open].rss, at[after].rss)}
	for _, s := range at {
		if s.err != nil {
			p.Error = s.err.Error()
		}
	}
	if at[open].at.IsZero() || p.Error != "" {
		return p
	}
	p.CPUSeconds = at[after].cpu - at[open].cpu
	p.CPUPercent = 100 * p.CPUSeconds / max(1e-3, at[after].at.Sub(at[open].at).Seconds())
	if at[before].connections >= 0 && at[open].connections > at[before].connections {
		p.BytesPerConnection = (p.Memory - p.MemoryBefore) / (at[open].connections - at[before].connections)
	}
	return p
}

// total adds up all replicas. Its figures per connection and per message are of the
// sockets and messages of this run.
func total(all []Replica, sockets, messages float64) *Replica {
	t := &Replica{Name: "all"}
	for _, p := range all {
		t.Connections += p.Connections
		t.MemoryBefore += p.MemoryBefore
		t.Memory += p.Memory
		t.CPUSeconds += p.CPUSeconds
		t.CPUPercent += p.CPUPercent
		t.Error = cmp.Or(t.Error, p.Error)
	}
	if t.Error != "" {
		return t
	}
	if sockets > 0 {
		t.BytesPerConnection = (t.Memory - t.MemoryBefore) / sockets
	}
	if messages > 0 {
		t.CPUMsPerMessage = 1000 * t.CPUSeconds / messages
	}
	return t
}

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(to io.Writer) error {
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}

// WriteText writes the report for a person.
func (r *Report) WriteText(to io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s "+format+"\n", append([]any{name}, args...)...)
	}
	c := &r.Connections
	row("connections", "%d of %d open in %d rooms, %.0f handshakes/s, %s", c.Opened, c.Wanted, r.Rooms, c.HandshakesPerSecond, c.Handshake)
	counts(&b, "failed", c.Failures)
	if m := r.Messages; m != nil {
		if m.Seconds > 0 && m.Latency.Count+m.Echo.Count > 0 {
			offered := ""
			if m.OfferedPerSec > 0 {
				offered = fmt.Sprintf(" of %.0f/s offered", m.OfferedPerSec)
			}
			row("messages", "%.0f/s%s, %.0f frames/s, %d senders", m.PerSecond, offered, m.FramesPerSecond, m.Senders)
			row("latency", "%s to the others", m.Latency)
			row("", "%s back to the sender", m.Echo)
			if m.Ack.Count > 0 {
				row("", "%s to the acknowledgement", m.Ack)
			}
		}
		row("delivery", "%d sent; %d lost, %d repeated, %d reordered, %d misdelivered", m.Sent, m.Lost, m.Repeated, m.Reordered, m.Misdelivered)
		more := map[string]int64{"late": m.Late, "unanswered": m.Unanswered, "superseded": m.Superseded, "stalls": m.Stalls, "foreign": m.Foreign}
		maps.DeleteFunc(more, func(_ string, n int64) bool { return n == 0 })
		counts(&b, "", more)
	}
	counts(&b, "refused", r.Refused)
	counts(&b, "closed early", r.Closes)
	for _, p := range r.Replicas {
		row("replica", "%s", p)
	}
	if len(r.Replicas) > 1 {
		row("all replicas", "%s", *r.Total)
	} else if r.Total != nil && r.Total.CPUMsPerMessage > 0 {
		row("", "%s", r.Total.perMessage())
	}
	if r.Interrupted {
		row("interrupted", "this is what was known")
	}
	_, err := io.WriteString(to, b.String())
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}

// String says the quantiles in a few words.
func (l Latency) String() string {
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms", l.P50, l.P99, l.P999, l.Max)
}

// String says what a replica used in one line.
func (p Replica) String() string {
	if p.Error != "" {
		return p.Name + " cannot be seen: " + p.Error
	}
	s := fmt.Sprintf("%s: %.1f MiB", p.Name, p.Memory/(1<<20))
	if p.BytesPerConnection > 0 {
		s += fmt.Sprintf(", %.1f KiB per connection", p.BytesPerConnection/1024)
	}
	s += fmt.Sprintf(", CPU %.1f %%", p.CPUPercent)
	if p.CPUMsPerMessage > 0 {
		s += ", " + p.perMessage()
	}
	return s
}

func (p Replica) perMessage() string {
	return fmt.Sprintf("%.3f ms of CPU per message", p.CPUMsPerMessage)
}

// counts writes a line of what was counted, the most frequent first.
func counts(b *strings.Builder, name string, of map[string]int64) {
	if len(of) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(of), func(x, y string) int { return cmp.Or(cmp.Compare(of[y], of[x]), cmp.Compare(x, y)) })
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%d %s", of[k], k)
	}
	fmt.Fprintf(b, "%-14s %s\n", name, strings.Join(keys, ", "))
}
