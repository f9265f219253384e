package bench

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// WriteText writes the report as text.
func (r *Report) WriteText(to io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s "+format+"\n", append([]any{name}, args...)...)
	}
	c := &r.Connections
	row("connections", "%d of %d open in %d rooms, %.0f handshakes/s; handshake %s", c.Opened, c.Wanted, r.Rooms, c.HandshakesPerSecond, c.Handshake)
	writeCounts(&b, "failed", c.Failures)
	if m := r.Messages; m != nil {
		if m.Seconds > 0 && m.Latency.Count+m.Echo.Count > 0 {
			offered := ""
			if m.OfferedPerSec > 0 {
				offered = fmt.Sprintf(" of %.0f/s offered", m.OfferedPerSec)
			}
			row("messages", "%.0f/s%s, %.0f frames/s, %d senders", m.PerSecond, offered, m.FramesPerSecond, m.Senders)
			row("latency", "%s to the other sockets", m.Latency)
			row("", "%s to the sender", m.Echo)
			if m.Ack.Count > 0 {
				row("", "%s to the acknowledgement", m.Ack)
			}
		}
		row("delivery", "%d sent; %d lost, %d repeated, %d reordered, %d misdelivered", m.Sent, m.Lost, m.Repeated, m.Reordered, m.Misdelivered)
		more := map[string]int64{"late": m.Late, "unanswered": m.Unanswered, "superseded": m.Superseded, "stalls": m.Stalls, "foreign": m.Foreign}
		maps.DeleteFunc(more, func(_ string, n int64) bool { return n == 0 })
		writeCounts(&b, "", more)
	}
	if r.State != nil {
		row("state", "%s", r.State)
	}
	writeCounts(&b, "refused", r.Refused)
	writeCounts(&b, "closed early", r.Closes)
	for _, p := range r.Replicas {
		row("replica", "%s", p)
	}
	if len(r.Replicas) > 1 {
		row("all replicas", "%s", *r.Total)
	} else if r.Total != nil && r.Total.CPUMsPerMessage > 0 {
		row("", "%s", r.Total.perMessage())
	}
	if r.Interrupted {
		row("interrupted", "the results cover the run until then")
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// String returns the quantiles in one line.
func (l Latency) String() string {
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms", l.P50, l.P99, l.P999, l.Max)
}

// String returns the usage in one line.
func (p Replica) String() string {
	if p.Error != "" {
		return p.Name + ": usage unknown: " + p.Error
	}
	s := fmt.Sprintf("%s: %.1f MiB", p.Name, p.Memory/(1<<20))
	if p.BytesPerConnection > 0 {
		s += fmt.Sprintf(", %.1f KiB per connection", p.BytesPerConnection/1024)
	}
	s += fmt.Sprintf(", CPU %.1f%%", p.CPUPercent)
	if p.CPUMsPerMessage > 0 {
		s += ", " + p.perMessage()
	}
	return s
}

func (p Replica) perMessage() string {
	return fmt.Sprintf("%.3f ms CPU per message", p.CPUMsPerMessage)
}

// writeCounts writes a line of counts, the highest first.
func writeCounts(b *strings.Builder, name string, of map[string]int64) {
	if len(of) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(of), func(x, y string) int { return cmp.Or(cmp.Compare(of[y], of[x]), cmp.Compare(x, y)) })
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%d %s", of[k], k)
	}
	fmt.Fprintf(b, "%-14s %s\n", name, strings.Join(keys, ", "))
}
