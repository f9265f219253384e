package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

const (
	// maxQueue is the number of bytes of messages that wait for the handler. The reader
	// stops above it, and reads on when half of them are handled.
	maxQueue = 64 << 10
	// queueOverhead is added to the size of a waiting message, so that tiny ones count too.
	queueOverhead = 64
	// maxClassicQueue is maxQueue for classic clients. They send without waiting, and notice a
	// dead connection by their own pings, which the server can answer only if it reads on.
	maxClassicQueue = 4 << 20
	// classicBurst is the number of messages that a classic client may send in a burst.
	classicBurst = 1000
	// lookback is the number of waiting messages among which one that is superseded is looked for.
	// More than one, because clients send other messages between their positions.
	lookback = 8
	// userFactor is how many times the message rate of a socket a user has on a replica, and so
	// has a client network without a user.
	userFactor = 4
	// minPause and maxPause bound the time between two looks at something that is awaited.
	minPause, maxPause = 50 * time.Millisecond, time.Second
)

// A socket without a user may exceed its message rate warningBurst times, and once more every
// warningEvery, before it is closed with 1008.
const (
	warningBurst = 40
	warningEvery = 3 * time.Second
)

// A Pacer is a Handler that takes a message only when the client has taken enough of what it
// was sent before.
type Pacer interface {
	// Ready reports whether Receive may be called.
	Ready() bool
}

// A Superseder is a Handler for which only the newest of some messages counts.
type Superseder interface {
	// Supersedes reports whether the newer of two messages, which wait because the client
	// exceeds the message rate, replaces the older one. It must be cheap.
	Supersedes(newer, older frame.Message) bool
}

// dispatch handles a message in the calling goroutine, which is the reader's. If that takes long,
// another one reads on beside it, so that pings, pongs and the Close behind the message are seen. Then
// the next messages wait, and if too much waits, nothing is read for a while. dispatch reports
// whether the caller is to read on.
func (s *Session) dispatch(m message, grown bool) (readOn bool) {
	now, turn := time.Now(), s.received.Add(1)
	if s.inARow++; now.UnixNano()-s.lastMessage >= int64(often) {
		s.inARow = 1
	}
	s.lastMessage = now.UnixNano()
	s.receivedBytes.Add(uint64(len(m.Data)))
	s.lastActive.Store(s.lastMessage)
	s.endpoint.received.Inc()
	if s.log.Watched() {
		s.showFrame("Frame received", m.Message)
	}
	s.mu.Lock()
	work := !s.working
	if work {
		s.working = true
		s.handling.Store(true)
	} else {
		s.enqueueLocked(m)
	}
	stopped := s.stopped
	flood := s.cause != nil && !s.frames.allow(now, framePeriod, frameBurst)
	s.mu.Unlock()
	if flood {
		s.cut("network", tooManyFrames)
	}
	if !work {
		return !stopped // a reader that stops leaves its count in the WaitGroup to the next one
	}
	s.registry.running.Add(1)
	s.registry.recent.add(handling{s, turn})
	if !grown {
		growStack(0)
	}
	if !s.work(m) {
		return false
	}
	if s.inARow < manyMessages {
		go s.read() // takes over the reader's count in the WaitGroup
		return false
	}
	return true
}

// enqueueLocked makes m wait for its turn.
func (s *Session) enqueueLocked(m message) {
	size := len(m.Data) + queueOverhead
	if !s.supersede(m) {
		if s.account.Take(size - m.taken) {
			m.taken = max(m.taken, size)
		} else {
			s.stopped = true // until some of the queue is handled
		}
		s.queue = append(s.queue, m)
	}
	s.queued += size
	s.stopped = s.stopped || s.queued >= s.maxQueue()
}

// growStack makes the stack of a new goroutine large enough for most handlers at once. Otherwise
// the stack is doubled and copied two or three times on the way, each time with more frames on it.
//
//go:noinline
func growStack(i int) byte {
	var unused [5 << 10]byte
	return unused[i]
}

// supersede replaces one of the newest messages of the queue by m and reports whether it did.
// The caller must hold the lock. The bytes of what was replaced still count for the length of
// the queue: they bound how much is read between two messages that are handled.
func (s *Session) supersede(m message) bool {
	h, ok := s.handler.(Superseder)
	if !ok {
		return false
	}
	for i := len(s.queue) - 1; i >= max(0, len(s.queue)-lookback); i-- {
		if h.Supersedes(m.Message, s.queue[i].Message) {
			s.account.Give(s.queue[i].taken)
			s.queue[i] = m
			return true
		}
	}
	return false
}

// renew replaces m, which waits for its turn, by a message of the queue that supersedes it. So
// the newest one never waits for the turn of an older one.
func (s *Session) renew(m *message) {
	h, ok := s.handler.(Superseder)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range min(lookback, len(s.queue)) {
		if newer := s.queue[i]; h.Supersedes(newer.Message, m.Message) {
			s.account.Give(m.taken)
			s.queued -= len(newer.Data) + queueOverhead
			s.queue = slices.Delete(s.queue, i, i+1)
			*m = newer
			return
		}
	}
}

// work handles m and then the messages that wait, at the message rate. It reports whether the caller
// is still the reader of the session.
func (s *Session) work(m message) (readOn bool) {
	defer s.registry.running.Done()
	for ok := true; ok; m, ok, readOn = s.next() {
		if s.waitForTurn(&m) {
			s.handle(m.Message)
		}
		s.account.Give(m.taken)
	}
	s.finish(false)
	return readOn
}

// next returns the next message of the queue. If there is none, ok is false, the session no longer
// counts as working, and readOn says whether the caller is still its reader. If the reader has stopped
// and the queue has room, next starts it again.
func (s *Session) next() (m message, ok, readOn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok = len(s.queue) > 0; ok {
		m = s.queue[0]
		s.queue[0] = message{}
		s.queue = s.queue[1:]
		s.queued -= len(m.Data) + queueOverhead
	}
	if len(s.queue) == 0 {
		s.queue, s.queued = nil, 0
	}
	if !ok {
		readOn = !s.beside
		s.working, s.beside = false, false
		s.uncountLocked()
		s.stopHandlingLocked()
	}
	s.resumeLocked()
	return m, ok, readOn
}

// resumeLocked starts the reader again if it was stopped and there is room, or if the session
// is ending.
func (s *Session) resumeLocked() {
	if s.stopped && (s.queued <= s.maxQueue()/2 || s.cause != nil) {
		s.stopped = false
		s.restartPongTimeoutLocked()
		go s.read() // takes over the count of the reader that has ended
	}
}

// maxQueue returns the number of bytes of waiting messages at which the reader stops.
func (s *Session) maxQueue() int {
	if s.endpoint.classic && !s.endpoint.anonymous {
		return maxClassicQueue
	}
	return maxQueue
}

// restartPongTimeoutLocked begins the pong timeout anew, because no pong could be read.
func (s *Session) restartPongTimeoutLocked() {
	if s.pingSent != 0 {
		s.pingSent = time.Now().UnixNano()
	}
}

// waitForTurn waits until m may be handled. It returns false if m is to be dropped, because
// the server has ended the session.
func (s *Session) waitForTurn(m *message) bool {
	for slow := minPause; s.startHandling(); slow = min(2*slow, maxPause) {
		h, ok := s.handler.(Pacer)
		wait := time.Duration(0)
		if ok && s.ending() == nil && !h.Ready() { // a client that has left takes nothing more
			wait = slow
		} else if wait = s.takeTurn(m, slow); wait == 0 {
			return true
		}
		s.mu.Lock()
		s.stopHandlingLocked()
		s.readBesideLocked()
		s.resumeLocked()
		s.mu.Unlock()
		if !s.pause(min(wait, maxPause)) {
			return false
		}
		s.renew(m)
	}
	return false
}

// startHandling marks the session as handling a message, under the lock, because the writer
// may hold the Close back until the message is handled. It returns false if the server has
// ended the session, or the handler has failed. What a client sent before it left is otherwise
// still handled.
func (s *Session) startHandling() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed || s.cause != nil && s.endedBy == "server" {
		return false
	}
	s.handling.Store(true)
	return true
}

func (s *Session) stopHandlingLocked() {
	s.handling.Store(false)
	if s.cause != nil {
		s.wakeLocked() // the writer may have held the Close back
	}
}

// pause waits, and returns false if the registry's context ends.
func (s *Session) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.registry.ctx.Done():
		return false
	}
}

// takeTurn takes a turn of the message rate for m, of the socket and of its member, or returns
// the time after which to try again: up to slow where many sockets of a client network compete.
// A socket without a user does not wait for a turn of its own: m is marked, and after too many
// such messages the session ends.
func (s *Session) takeTurn(m *message, slow time.Duration) time.Duration {
	o := &s.registry.options
	if o.MessageRate <= 0 {
		return 0
	}
	now, period, burst := time.Now(), time.Duration(float64(time.Second)/o.MessageRate), o.MessageBurst
	if s.endpoint.classic && !s.endpoint.anonymous {
		burst = max(burst, classicBurst)
	}
	next, wait := s.messages.take(now, period, burst)
	if wait == 0 && s.member != nil {
		wait = s.member.bucket(s.endpoint.classic).take(now, period/userFactor, burst*userFactor)
		if wait > 0 && s.endpoint.anonymous {
			return max(wait, rand.N(slow))
		}
	}
	if wait == 0 {
		s.messages = next
		return 0
	}
	if !s.endpoint.anonymous || s.endpoint.classic {
		return wait
	}
	m.Limited = true
	if !s.warnings.allow(now, warningEvery, warningBurst) {
		s.End(&frame.Close{
			Code: frame.CodePolicy, Reason: "rate_limited",
			Detail: fmt.Sprintf("more than %g messages per second after %d warnings", o.MessageRate, warningBurst),
		})
	}
	return 0
}

// handle passes a message to the handler. After an error no later message is handled, even if the
// client has left before: else the message would be missing among those of its socket.
func (s *Session) handle(m frame.Message) {
	defer s.recoverPanic("Receive")
	if s.log.Watched() {
		defer s.showTime("Frame handled", time.Now())
	}
	if err := s.handler.Receive(s.registry.ctx, m); err != nil {
		s.mu.Lock()
		s.failed = true
		s.mu.Unlock()
		s.fail(err)
	}
}
