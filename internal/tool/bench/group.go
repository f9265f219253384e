package bench

import (
	"sync"
	"time"
)

// A group is one room: who sits in it, and what each has seen of each.
type group struct {
	run     *run
	sockets []*socket
	senders []*sender

	mu sync.Mutex
}

// A sender is a socket that sends. Its group's lock guards what changes.
type sender struct {
	socket *socket
	group  *group
	index  int // among all senders

	due     []time.Duration // when each message was due, since the run began
	refused map[int64]bool
	acks    stream
	streams []stream // what each socket of the group has seen of this sender

	flight int64 // closed loop: the message under way, -1 for none
	left   int   // sockets that have not seen it
}

// send sends the sender's next message, which is due at a time since the run
// began.
func (s *sender) send(due time.Duration) {
	g, t := s.group, &s.group.run.tally
	if !s.socket.alive.Load() {
		return
	}
	g.mu.Lock()
	n := int64(len(s.due))
	if n >= maxEach {
		g.mu.Unlock()
		return
	}
	s.due = append(s.due, due)
	s.flight, s.left = n, 0
	for _, to := range g.sockets {
		if to.alive.Load() {
			s.left++
		}
	}
	g.mu.Unlock()
	t.sent.Add(1)
	if g.run.o.Kind == Location {
		s.socket.write(positionFrame(n))
	} else {
		s.socket.write(s.chatFrame(n))
	}
}

// receive takes in a frame that a socket has got.
func (g *group) receive(by *socket, text []byte, now time.Duration) {
	t := &g.run.tally
	switch typeOf(text) {
	case "chat_message":
		from, n, ok := g.run.parseID(field(text, "client_message_id"))
		switch {
		case !ok:
			t.foreign.Add(1)
		case from.group != g:
			t.misdelivered.Add(1)
		default:
			g.delivered(by, from, n, now)
		}
	case "location_update":
		n, ok := parsePosition(text)
		from := g.senderOf(field(text, "user_id"))
		if !ok || from == nil {
			t.foreign.Add(1)
			return
		}
		g.delivered(by, from, n, now)
	case "ack":
		if from, n, ok := g.run.parseID(field(text, "client_message_id")); ok && from.socket == by {
			g.acked(from, n, now)
		}
	case "error":
		g.refused(by, text)
	case "reconnect":
		t.refuse("reconnect " + field(text, "reason"))
	}
}

func (g *group) senderOf(user string) *sender {
	for _, s := range g.senders {
		if itoa(int64(s.socket.user)) == user {
			return s
		}
	}
	return nil
}

// delivered notes that a socket has got a message.
func (g *group) delivered(by *socket, from *sender, n int64, now time.Duration) {
	g.mu.Lock()
	if n >= int64(len(from.due)) {
		g.mu.Unlock()
		g.run.tally.foreign.Add(1) // of an earlier run: the last known position
		return
	}
	first := from.streams[by.place].see(n)
	due := from.due[n]
	next := false
	if first && n == from.flight {
		next = g.seen(from)
	}
	g.mu.Unlock()
	if first {
		g.run.window.delivered(by == from.socket, due, now)
	}
	if next {
		g.run.complete(from)
	}
}

// seen counts one socket less that a message under way has to reach, and reports
// whether that was the last one. The lock is held.
func (g *group) seen(from *sender) bool {
	if from.left--; from.left > 0 {
		return false
	}
	from.flight = -1
	return true
}

func (g *group) acked(from *sender, n int64, now time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n < int64(len(from.due)) && from.acks.see(n) {
		g.run.window.acked(from.due[n], now)
	}
}

// refused notes an error frame: what the server has refused is not lost.
func (g *group) refused(by *socket, text []byte) {
	t := &g.run.tally
	t.refuse(field(text, "code"))
	from := by.sender
	if from == nil {
		return
	}
	next := false
	g.mu.Lock()
	n, known := from.flight, true
	if g.run.o.Kind == Chat {
		_, n, known = g.run.parseID(field(text, "client_message_id"))
	}
	if known && n >= 0 {
		if from.refused == nil {
			from.refused = map[int64]bool{}
		}
		from.refused[n] = true
		if n == from.flight {
			from.flight, next = -1, true
		}
	}
	g.mu.Unlock()
	if next {
		g.run.complete(from)
	}
}

// gone notes that a socket has ended: nobody waits for it any more.
func (g *group) gone(who *socket) {
	var free []*sender
	g.mu.Lock()
	for _, s := range g.senders {
		switch {
		case s.socket == who:
			s.flight = -1
		case s.flight >= 0 && !s.streams[who.place].saw(s.flight) && g.seen(s):
			free = append(free, s)
		}
	}
	g.mu.Unlock()
	for _, s := range free {
		g.run.complete(s)
	}
}

// A verdict is what became of the messages.
type verdict struct {
	lost, repeated, reordered, superseded, unanswered int64
}

func (v *verdict) add(w verdict) {
	v.lost += w.lost
	v.repeated += w.repeated
	v.reordered += w.reordered
	v.superseded += w.superseded
	v.unanswered += w.unanswered
}

// judge compares what was sent with what was seen. A chat message is owed to every
// socket of the room that is still there once it was acknowledged. Of positions
// only the newest is owed: a server may leave out what is out of date.
func (g *group) judge() (v verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	chat := g.run.o.Kind == Chat
	for _, s := range g.senders {
		sent := int64(len(s.due))
		if chat && s.socket.alive.Load() {
			s.acks.unseen(sent, func(n int64) {
				if !s.refused[n] {
					v.unanswered++
				}
			})
		}
		for i := range s.streams {
			st := &s.streams[i]
			v.repeated += st.repeated
			v.reordered += st.reordered
			if !g.sockets[i].alive.Load() {
				continue
			}
			st.unseen(sent, func(n int64) {
				switch {
				case chat && s.acks.saw(n), !chat && n == sent-1 && !s.refused[n] && s.socket.alive.Load():
					v.lost++
				case !chat && !s.refused[n]:
					v.superseded++
				}
			})
		}
	}
	return v
}
