package session

import (
	"math/rand/v2"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

// The values of [Info.State].
const (
	StateHandshake = "handshake" // the steps of the handshake run
	StateOpen      = "open"
	StateClosing   = "closing" // a side has ended the session
)

// An Info is what an operator may see of a session.
type Info struct {
	Subject

	Remote string // address of the client
	Client string // see [Slot.Client]
	State  string

	Opened    time.Time
	Idle      time.Duration // since the last byte in either direction
	RoundTrip time.Duration // of the last ping; 0 if unknown
	PingWait  time.Duration // since the ping that is not answered yet; 0 if there is none
	Expires   time.Time     // of the token; zero if there is none

	Queue    int64 // messages that wait for the client
	Received int   // messages of the client that wait for the handler
	Held     int64 // bytes that the session holds of the budget
	Blocked  bool  // a writer runs

	In, Out           uint32 // messages
	InBytes, OutBytes uint64

	session *Session
}

// Infos calls visit for every session until it returns false. The info is valid until visit
// returns. It locks one session after the other for a moment.
func (r *Registry) Infos(visit func(*Info) bool) {
	now := time.Now()
	var i Info
	for _, s := range r.all(nil) {
		s.inform(&i, now)
		if !visit(&i) {
			return
		}
	}
}

func (s *Session) inform(i *Info, now time.Time) {
	s.mu.Lock()
	*i = Info{
		Subject: s.subjectLocked(), Remote: s.log.Remote, Client: s.client.Value(), State: StateOpen,
		Opened: time.Unix(0, s.opened), Idle: max(0, now.Sub(time.Unix(0, s.lastActive.Load()))),
		RoundTrip: time.Duration(s.roundTrip) * time.Microsecond,
		Received:  len(s.queue), Held: s.account.Held(), Blocked: s.writing,
		In: s.received.Load(), Out: s.sent.Load(), InBytes: s.receivedBytes.Load(), OutBytes: s.sentBytes.Load(),
		session: s,
	}
	if s.expires != 0 {
		i.Expires = time.Unix(s.expires, 0)
	}
	if s.pingSent != 0 {
		i.PingWait = max(0, now.Sub(time.Unix(0, s.pingSent)))
	}
	h := s.handler
	switch {
	case s.cause != nil:
		i.State = StateClosing
	case h == nil:
		i.State = StateHandshake
	}
	s.mu.Unlock()
	if h, ok := h.(interface{ Behind() int64 }); ok { // without the lock: it has one of its own
		i.Queue = h.Behind()
	}
}

// An Ending ends sessions that an operator has chosen.
type Ending struct{ sessions []*Session }

// Add adds the session of an info that is valid.
func (e *Ending) Add(i *Info) { e.sessions = append(e.sessions, i.session) }

// Len returns the number of sessions.
func (e *Ending) Len() int { return len(e.sessions) }

// Run ends the sessions with 1012 closed_by_operator, 50 at a time with a pause between. The
// clients come back after random delays.
func (e *Ending) Run() {
	spread := max(jitter, time.Duration(len(e.sessions))*time.Second/endingRate)
	for n, s := range e.sessions {
		if n > 0 && n%50 == 0 && !s.pause(drainTick) {
			return
		}
		s.End(&frame.Close{Code: frame.CodeRestart, Reason: "closed_by_operator", After: rand.N(spread)})
	}
}

// endingRate is the number of clients per second that come back after an operator has closed
// their sockets.
const endingRate = 500
