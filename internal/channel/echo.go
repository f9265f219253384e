package channel

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// heartbeat is the time between two echoes, and between two PINGs of the subscription.
const heartbeat = time.Second

// echoes tracks the echoes that somebody waits for. An echo is a message that the layer
// publishes to itself, to verify that what is published is also received. Echoes are
// numbered, and come back in order.
type echoes struct {
	start time.Time // echoes carry the time since then

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]func(error)
}

// sendHeartbeats publishes an echo every second. While publishing fails it does so more
// often, to notice soon when Redis is back.
func (s *shard) sendHeartbeats(ctx context.Context) {
	for ctx.Err() == nil {
		answered := make(chan error, 1)
		s.publishEcho(s.echoes.next(nil), func(err error) { answered <- err })
		wait := heartbeat
		err := <-answered // the pipeline's timeout bounds it
		if err != nil {
			wait = 100*time.Millisecond + rand.N(150*time.Millisecond)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.failed:
			if err != nil { // this heartbeat was the failure
				select {
				case <-ctx.Done():
				case <-timer.C:
				}
			}
		}
		timer.Stop()
	}
}

// awaitEcho publishes an echo and calls done once: with nil when the echo has come back,
// or with the reason why it cannot. forget cancels the call.
func (s *shard) awaitEcho(done func(error)) (forget func()) {
	seq := s.echoes.next(done)
	if s.current.Load() == nil { // tested after next: see failAll
		s.echoes.finish(seq, unavailable("receive own echo", errConnectionLost))
		return func() {}
	}
	s.publishEcho(seq, func(err error) {
		if err != nil {
			s.echoes.finish(seq, err)
		}
	})
	return func() { s.echoes.take(seq) }
}

// publishEcho publishes an echo on the channel of the current connection. Without a
// connection it still shows whether publishing works.
func (s *shard) publishEcho(seq uint64, done func(error)) {
	sub, ring := s.current.Load(), s.client.Ring()
	channel := s.echoChannel(&ring.Deployment, 0)
	if sub != nil {
		channel = sub.echo
	}
	payload := ring.Seal(nil, channel, time.Now(), event.Echo{Seq: seq, Sent: time.Since(s.echoes.start)})
	s.pipeline.Probe(channel, payload, func(err error) {
		if err == nil && sub != nil {
			sub.echoPublished(seq)
		}
		done(err)
	})
}

// echoChannel returns the channel for the echoes of one connection.
func (s *shard) echoChannel(d *event.Deployment, epoch uint32) string {
	return s.client.ShardName(s.client.Base(d), s.index, "echo:"+s.client.Process().String()+"."+strconv.Itoa(int(epoch)))
}

// receiveEcho handles an echo that came back. Only the own process counts: nobody else is
// on this channel.
func (s *subscriber) receiveEcho(e *event.Event) {
	echo, err := event.ReadEcho(e.Body)
	if err != nil || e.Kind != event.KindEcho || e.Sender != s.shard.client.Process() {
		return
	}
	echoes := &s.shard.echoes
	s.shard.metrics.echo.Observe((time.Since(echoes.start) - echo.Sent).Seconds())
	echoes.finish(echo.Seq, nil)
	s.echoReceived(echo.Seq)
}

// next returns the number of a new echo, for which done waits unless it is nil.
func (e *echoes) next(done func(error)) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	if done != nil {
		if e.waiting == nil {
			e.waiting = make(map[uint64]func(error))
		}
		e.waiting[e.last] = done
	}
	return e.last
}

func (e *echoes) finish(seq uint64, err error) {
	if done := e.take(seq); done != nil {
		done(err)
	}
}

// take returns the waiting function of an echo and forgets it.
func (e *echoes) take(seq uint64) func(error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	done := e.waiting[seq]
	delete(e.waiting, seq)
	return done
}

// failAll fails all waiting echoes, after the current connection was lost and has been
// cleared. Echoes that are awaited later find no connection.
func (e *echoes) failAll() {
	e.mu.Lock()
	waiting := e.waiting
	e.waiting = nil
	e.mu.Unlock()
	for _, done := range waiting {
		done(unavailable("receive own echo", errConnectionLost))
	}
}
