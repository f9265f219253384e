package bench

import (
	"cmp"
	"context"
	"time"
)

// A Report holds the results of a run. Times are in milliseconds unless the name says
// otherwise.
type Report struct {
	Kind        string      `json:"kind"`
	Mix         string      `json:"mix"`
	Mode        string      `json:"mode"` // rate, max or idle
	URLs        []string    `json:"urls"`
	Rooms       int         `json:"rooms"`
	Interrupted bool        `json:"interrupted,omitempty"`
	Connections Connections `json:"connections"`
	Messages    *Messages   `json:"messages,omitempty"`
	State       *State      `json:"state,omitempty"` // in the full mix
	// Refused counts error frames by code. Closes counts sockets that ended early, by
	// close code and reason.
	Refused  map[string]int64 `json:"refused,omitempty"`
	Closes   map[string]int64 `json:"closes,omitempty"`
	Replicas []Replica        `json:"replicas,omitempty"`
	Total    *Replica         `json:"total,omitempty"` // all replicas together
}

// Connections counts handshakes by outcome.
type Connections struct {
	Wanted              int              `json:"wanted"`
	Opened              int64            `json:"opened"`
	Failed              int64            `json:"failed"`
	HandshakesPerSecond float64          `json:"handshakes_per_second"`
	Handshake           Latency          `json:"handshake"` // from dialling to the connected frame
	Failures            map[string]int64 `json:"failures,omitempty"`
}

// Messages counts messages by outcome. Rates and latencies cover only the messages
// scheduled within the measurement; counts cover all messages.
type Messages struct {
	Senders         int     `json:"senders"`
	OfferedPerSec   float64 `json:"offered_per_second,omitempty"`
	Seconds         float64 `json:"seconds"`
	PerSecond       float64 `json:"per_second"`        // delivered to their own senders
	FramesPerSecond float64 `json:"frames_per_second"` // deliveries to all sockets
	Latency         Latency `json:"latency"`           // from the scheduled time to the delivery to another socket
	Echo            Latency `json:"echo"`              // from the scheduled time to the delivery to the sender
	Ack             Latency `json:"ack"`               // from the scheduled time to the acknowledgement; chat only

	Sent         int64 `json:"sent"`
	Lost         int64 `json:"lost"`         // acknowledged but not delivered, counted per socket
	Repeated     int64 `json:"repeated"`     // delivered more than once, counted per socket
	Reordered    int64 `json:"reordered"`    // delivered after a later message, counted per socket
	Misdelivered int64 `json:"misdelivered"` // delivered to another room
	Late         int64 `json:"late"`         // not yet delivered at the end of the drain time
	Unanswered   int64 `json:"unanswered"`   // neither acknowledged nor refused
	Superseded   int64 `json:"superseded"`   // positions that the server skipped for newer ones
	Stalls       int64 `json:"stalls"`       // with --max: messages that were not delivered within five seconds
	Foreign      int64 `json:"foreign"`      // messages that this run did not send
}

// A Replica holds what a replica has used.
type Replica struct {
	Name               string  `json:"name"`
	Connections        float64 `json:"connections"` // -1 if unknown
	MemoryBefore       float64 `json:"memory_before_bytes"`
	Memory             float64 `json:"memory_bytes"`
	BytesPerConnection float64 `json:"bytes_per_connection,omitempty"`
	CPUSeconds         float64 `json:"cpu_seconds"`
	CPUPercent         float64 `json:"cpu_percent"`
	CPUMsPerMessage    float64 `json:"cpu_ms_per_message,omitempty"`
	Error              string  `json:"error,omitempty"`
}

// Failed reports whether messages were lost, repeated, reordered or misdelivered.
func (r *Report) Failed() bool {
	m := r.Messages
	return m != nil && m.Lost+m.Repeated+m.Reordered+m.Misdelivered > 0
}

func (r *run) report(ctx context.Context) *Report {
	t := &r.totals
	out := &Report{
		Kind: r.o.Kind, Mix: cmp.Or(r.o.Mix, Plain), Mode: "idle", URLs: r.o.URLs, Rooms: r.o.Rooms, Interrupted: ctx.Err() != nil,
		Connections: Connections{
			Wanted: r.o.Sockets, Opened: t.opened.Load(), Failed: t.failed.Load(),
			HandshakesPerSecond: float64(t.opened.Load()) / max(1e-3, time.Duration(t.dialling.Load()).Seconds()),
			Handshake:           t.handshake.latency(), Failures: t.clone(&t.failures),
		},
		Refused: t.clone(&t.refusals), Closes: t.clone(&t.closes),
	}
	if t.sent.Load() > 0 {
		out.Messages = r.messages()
	}
	if r.o.Mix == Full {
		out.State = t.state.report()
	}
	switch {
	case r.o.Rate > 0:
		out.Mode = "rate"
	case r.o.Max:
		out.Mode = "max"
	}
	for _, s := range r.servers {
		out.Replicas = append(out.Replicas, s.report())
	}
	if len(out.Replicas) > 0 {
		out.Total = total(out.Replicas, float64(out.Connections.Opened), float64(r.window.messages.Load()))
	}
	return out
}

func (r *run) messages() *Messages {
	t, w, d := &r.totals, &r.window, r.countDeliveries()
	m := &Messages{
		Senders: len(r.senders), OfferedPerSec: r.o.Rate, Latency: w.latency.latency(), Echo: w.echo.latency(), Ack: w.ack.latency(),
		Sent: t.sent.Load(), Lost: d.lost, Repeated: d.repeated, Reordered: d.reordered, Unanswered: d.unanswered,
		Superseded: d.superseded, Misdelivered: t.misdelivered.Load(), Stalls: t.stalls.Load(), Foreign: t.foreign.Load(),
	}
	if t.late.Load() {
		m.Late, m.Lost = m.Lost, 0
	}
	from, to := w.from.Load(), cmp.Or(w.to.Load(), int64(r.now()))
	if from > 0 {
		// A late delivery lengthens the time, or it would count as delivered at the offered rate.
		m.Seconds = time.Duration(max(to, w.ended.Load()) - from).Seconds()
		m.PerSecond = float64(w.messages.Load()) / max(1e-3, m.Seconds)
		m.FramesPerSecond = float64(w.frames.Load()) / max(1e-3, m.Seconds)
	}
	return m
}

func (s *server) report() Replica {
	start, opened, end := &s.samples[atStart], &s.samples[atOpen], &s.samples[atEnd]
	p := Replica{Name: s.name, Connections: opened.connections, MemoryBefore: start.rss, Memory: max(opened.rss, end.rss)}
	for _, u := range s.samples {
		if u.err != nil {
			p.Error = u.err.Error()
		}
	}
	if opened.at.IsZero() || p.Error != "" {
		return p
	}
	p.CPUSeconds = end.cpu - opened.cpu
	p.CPUPercent = 100 * p.CPUSeconds / max(1e-3, end.at.Sub(opened.at).Seconds())
	if start.connections >= 0 && opened.connections > start.connections {
		p.BytesPerConnection = (p.Memory - p.MemoryBefore) / (opened.connections - start.connections)
	}
	return p
}

// total adds up all replicas. It divides by the sockets and messages of this run.
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
