package redis

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// heartbeat is the time between two own messages.
	heartbeat = time.Second
	// silence is how long a connection may say nothing, or our own messages may
	// fail to come back, before it counts as lost. Redis has been asked at least
	// twice by then.
	silence = 3 * time.Second
)

// echoes knows which own messages are waited for. They are numbered, and come
// back in order.
type echoes struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]func(error)
}

// beat publishes an own message every second, and more often while publishing
// fails, so that it is soon known when it works again.
func (l *Layer) beat(ctx context.Context) {
	for ctx.Err() == nil {
		answered := make(chan error, 1)
		l.publishEcho(func(_ uint64, err error) { answered <- err })
		wait := heartbeat
		if err := <-answered; err != nil { // bounded by the pipeline's time-out
			wait = 100*time.Millisecond + rand.N(150*time.Millisecond)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-l.down:
			if wait != heartbeat { // that was ourselves
				select {
				case <-ctx.Done():
				case <-timer.C:
				}
			}
		}
		timer.Stop()
	}
}

// probe publishes an own message and calls back once: with nil when it has come
// back, or with the error that publishing it met, or that the connection was lost
// which should have heard it. The returned function gives up waiting.
func (l *Layer) probe(back func(error)) (forget func()) {
	e := &l.echoes
	var seq uint64
	e.mu.Lock()
	e.last++
	seq = e.last
	if e.waiting == nil {
		e.waiting = make(map[uint64]func(error))
	}
	e.waiting[seq] = back
	e.mu.Unlock()
	if l.current.Load() == nil { // looked at after noting: see lost
		e.settle(seq, errRedial)
		return func() {}
	}
	l.sendEcho(seq, func(err error) {
		if err != nil {
			e.settle(seq, err)
		}
	})
	return func() {
		e.mu.Lock()
		delete(e.waiting, seq)
		e.mu.Unlock()
	}
}

func (l *Layer) publishEcho(done func(seq uint64, err error)) {
	l.echoes.mu.Lock()
	l.echoes.last++
	seq := l.echoes.last
	l.echoes.mu.Unlock()
	l.sendEcho(seq, func(err error) { done(seq, err) })
}

// sendEcho publishes an own message on the channel of the current connection.
// Without one it is still worth sending: it shows that publishing works.
func (l *Layer) sendEcho(seq uint64, done func(error)) {
	s := l.current.Load()
	channel := l.prefix + "echo:" + l.id
	if s != nil {
		channel = s.echo
	}
	payload := binary.BigEndian.AppendUint64(nil, seq)
	payload = binary.BigEndian.AppendUint64(payload, uint64(time.Since(l.born)))
	l.publisher.submit(op{kind: probe, name: channel, payload: payload, done: func(err error) {
		if err == nil && s != nil {
			s.sent(seq)
		}
		done(err)
	}})
}

// heardEcho takes an own message that came back, and returns its number.
func (l *Layer) heardEcho(payload string) (seq uint64, ok bool) {
	if len(payload) != 17 || payload[0] != version {
		return 0, false
	}
	seq = binary.BigEndian.Uint64([]byte(payload[1:9]))
	took := time.Since(l.born) - time.Duration(binary.BigEndian.Uint64([]byte(payload[9:]))) //nolint:gosec // our own number
	l.metrics.echo.Observe(took.Seconds())
	l.echoes.settle(seq, nil)
	return seq, true
}

func (e *echoes) settle(seq uint64, err error) {
	e.mu.Lock()
	back := e.waiting[seq]
	delete(e.waiting, seq)
	e.mu.Unlock()
	if back != nil {
		back(err)
	}
}

// lost settles all that wait for a connection that does not hear any more. It is
// called when that is no longer the current one.
func (e *echoes) lost() {
	e.mu.Lock()
	waiting := e.waiting
	e.waiting = nil
	e.mu.Unlock()
	for _, back := range waiting {
		back(errRedial)
	}
}
