package bench

import (
	"sync"
	"time"
)

// A group is the sockets of one room, with a record of what each of them received
// from each sender.
type group struct {
	run     *run
	sockets []*socket
	senders []*sender

	mu sync.Mutex // guards what changes in the senders
}

// A sender is a socket that sends.
type sender struct {
	socket *socket
	group  *group
	index  int // among all senders of the run

	scheduled []time.Duration // when each message was to be sent, since the run began
	refused   map[int64]bool
	acks      sequence
	received  []sequence // by each socket of the group

	typeAt time.Duration // when the sender may send typing again; 0 before the first message

	inFlight int64 // the last message while it is being delivered, else -1
	pending  int   // number of sockets that have not received it
}

// send sends the next message of the sender. Latencies count from scheduled, the
// time since the run began at which the message was to be sent.
func (s *sender) send(scheduled time.Duration) {
	g := s.group
	if !s.socket.alive.Load() {
		return
	}
	g.mu.Lock()
	n := int64(len(s.scheduled))
	if n >= maxMessagesPerSender {
		g.mu.Unlock()
		return
	}
	s.scheduled = append(s.scheduled, scheduled)
	s.inFlight, s.pending = n, 0
	for _, to := range g.sockets {
		if to.alive.Load() {
			s.pending++
		}
	}
	g.mu.Unlock()
	if g.run.o.Mix == Full {
		s.sendTyping(g.run.now())
	}
	g.run.totals.sent.Add(1)
	if g.run.o.Kind == Location {
		s.socket.write(positionFrame(n))
	} else {
		s.socket.write(s.chatFrame(n))
	}
}

// handleFrame records a frame that a socket of the group received.
func (g *group) handleFrame(by *socket, text []byte, now time.Duration) {
	f, t := decodeFrame(text), &g.run.totals
	switch f.Type {
	case "chat_message":
		from, n, ok := g.run.parseMessageID(f.ClientMessageID)
		switch {
		case !ok:
			t.foreign.Add(1)
		case from.group != g:
			t.misdelivered.Add(1)
		default:
			if g.run.o.Mix == Full && by.user != from.socket.user {
				by.sendReceipts(f.Seq)
			}
			g.recordDelivery(by, from, n, now)
		}
	case "location_update":
		from := g.senderOf(f.UserID)
		if from == nil || f.Latitude < 0 {
			t.foreign.Add(1)
			return
		}
		g.recordDelivery(by, from, positionNumber(f.Latitude), now)
	case "ack":
		if from, n, ok := g.run.parseMessageID(f.ClientMessageID); ok && from.socket == by {
			g.recordAck(from, n, now)
		}
	case "error":
		g.recordRefusal(by, &f)
	case "reconnect":
		t.count(&t.refusals, "reconnect "+f.Reason)
	default:
		t.state.count(f.Type)
	}
}

func (g *group) senderOf(user int64) *sender {
	for _, s := range g.senders {
		if int64(s.socket.user) == user {
			return s
		}
	}
	return nil
}

func (g *group) recordDelivery(by *socket, from *sender, n int64, now time.Duration) {
	g.mu.Lock()
	if n >= int64(len(from.scheduled)) {
		g.mu.Unlock()
		g.run.totals.foreign.Add(1) // the last known position of an earlier run
		return
	}
	first := from.received[by.place].add(n)
	scheduled := from.scheduled[n]
	complete := first && n == from.inFlight && from.countDown()
	g.mu.Unlock()
	if first {
		g.run.window.addDelivery(by == from.socket, scheduled, now)
	}
	if complete {
		g.run.sendNext(from)
	}
}

// countDown records that one more socket needs no delivery of the message in flight.
// It reports whether that socket was the last one. The caller holds the group's lock.
func (s *sender) countDown() bool {
	if s.pending--; s.pending > 0 {
		return false
	}
	s.inFlight = -1
	return true
}

func (g *group) recordAck(from *sender, n int64, now time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n < int64(len(from.scheduled)) && from.acks.add(n) {
		g.run.window.addAck(from.scheduled[n], now)
	}
}

// recordRefusal records an error frame. A message that the server refused does not
// count as lost.
func (g *group) recordRefusal(by *socket, f *incoming) {
	t := &g.run.totals
	t.count(&t.refusals, f.Code)
	from := by.sender
	if from == nil {
		return
	}
	next := false
	g.mu.Lock()
	n, known := from.inFlight, true
	if g.run.o.Kind == Chat {
		_, n, known = g.run.parseMessageID(f.ClientMessageID)
	}
	if known && n >= 0 {
		if from.refused == nil {
			from.refused = map[int64]bool{}
		}
		from.refused[n] = true
		if n == from.inFlight {
			from.inFlight, next = -1, true
		}
	}
	g.mu.Unlock()
	if next {
		g.run.sendNext(from)
	}
}

// recordEnd stops waiting for deliveries to a socket that has ended.
func (g *group) recordEnd(ended *socket) {
	var complete []*sender
	g.mu.Lock()
	for _, s := range g.senders {
		switch {
		case s.socket == ended:
			s.inFlight = -1
		case s.inFlight >= 0 && !s.received[ended.place].contains(s.inFlight) && s.countDown():
			complete = append(complete, s)
		}
	}
	g.mu.Unlock()
	for _, s := range complete {
		g.run.sendNext(s)
	}
}

// deliveries counts messages by what became of them.
type deliveries struct {
	lost, repeated, reordered, superseded, unanswered int64
}

// countDeliveries compares what was sent with what was received, in all groups.
func (r *run) countDeliveries() (d deliveries) {
	for _, g := range r.groups {
		g.countDeliveries(&d)
	}
	return d
}

// countDeliveries adds the group's messages to d. Every open socket must have received
// every acknowledged chat message. Of positions only the newest must have arrived: a
// server may skip outdated ones.
func (g *group) countDeliveries(d *deliveries) {
	g.mu.Lock()
	defer g.mu.Unlock()
	chat := g.run.o.Kind == Chat
	for _, s := range g.senders {
		sent := int64(len(s.scheduled))
		if chat && s.socket.alive.Load() {
			s.acks.eachMissing(sent, func(n int64) {
				if !s.refused[n] {
					d.unanswered++
				}
			})
		}
		for i := range s.received {
			received := &s.received[i]
			d.repeated += received.repeated
			d.reordered += received.reordered
			if !g.sockets[i].alive.Load() {
				continue
			}
			received.eachMissing(sent, func(n int64) {
				switch {
				case chat && s.acks.contains(n), !chat && n == sent-1 && !s.refused[n] && s.socket.alive.Load():
					d.lost++
				case !chat && !s.refused[n]:
					d.superseded++
				}
			})
		}
	}
}
