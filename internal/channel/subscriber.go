package redis

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// chunk is how many channels one SUBSCRIBE names at most.
const chunk = 500

// A subscriber is one connection that hears, from its dial to its loss. Whatever
// is wrong with it, it is given up and another one takes its place.
//
// Two goroutines use it: run tells Redis what to subscribe, receive hears.
type subscriber struct {
	layer  *Layer
	pubsub *goredis.PubSub
	echo   string // the channel of its own messages, unlike any other's
	again  bool   // not the first: what was published before it may be lost
	marks  int    // confirmations of echo; receive's own

	mu       sync.Mutex
	up       time.Time // since when every group is subscribed
	newest   uint64    // own message that Redis took
	heard    uint64    // own message that came back
	deafFrom time.Time // since when Redis has taken one that has not come back
}

// stayConnected keeps one subscriber at work until ctx ends.
func (l *Layer) stayConnected(ctx context.Context) {
	attempt := 0
	for ctx.Err() == nil {
		lived, err := l.subscribe(ctx)
		l.current.Store(nil)
		l.groups.void()
		l.echoes.lost()
		if ctx.Err() != nil {
			break
		}
		l.set(hearing, err)
		if errors.Is(err, errDeaf) {
			// Perhaps we publish to a server that is master no more, and no
			// connection would ever tell: ask again where it is.
			l.publisher.pipeline.elsewhere()
			l.lines.cutAll()
		}
		if lived > time.Second {
			attempt = 0
		}
		pause(ctx, attempt)
		attempt++
	}
}

// pause waits before a further attempt: the first comes at once, the others
// after up to a second, with jitter so that replicas do not come together.
func pause(ctx context.Context, attempt int) {
	if attempt == 0 {
		return
	}
	most := min(25*time.Millisecond<<min(attempt, 10), time.Second)
	timer := time.NewTimer(most/2 + rand.N(most/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// subscribe works with one connection until it is lost, and returns why, and how
// long every group was subscribed.
func (l *Layer) subscribe(ctx context.Context) (lived time.Duration, err error) {
	ctx, ticket := withTicket(ctx)
	s := &subscriber{layer: l, pubsub: l.redis.Subscribe(ctx)}
	defer func() { _ = s.pubsub.Close() }()
	epoch := l.groups.begin()
	// In Redis Cluster the first channel chooses the node, so that each attempt
	// tries another one.
	s.echo = l.prefix + "echo:" + l.id + "." + strconv.Itoa(int(epoch))

	dial, cancel := context.WithTimeout(ctx, timeout)
	err = s.pubsub.Subscribe(dial, s.echo)
	cancel()
	if err != nil {
		return 0, err //nolint:wrapcheck // the cause, for health to tell
	}
	s.again, l.dialed = l.dialed, true
	l.current.Store(s)

	lost := make(chan error, 1)
	var receive sync.WaitGroup
	receive.Go(func() { lost <- s.receive(ctx) })
	err = s.run(ctx, lost)
	ticket.cut() // so that receive returns, whatever it waits for
	receive.Wait()
	if up := s.upSince(); !up.IsZero() {
		lived = time.Since(up)
	}
	return lived, err
}

// run tells Redis what to subscribe, and watches that it answers, until the
// connection is lost or ctx ends.
func (s *subscriber) run(ctx context.Context, lost <-chan error) error {
	if err := s.tell(ctx); err != nil {
		return err
	}
	// Redis confirms in order: with this, it has confirmed every group above.
	if err := s.pubsub.Subscribe(ctx, s.echo); err != nil {
		return err //nolint:wrapcheck // the cause, for health to tell
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err = <-lost:
		case <-s.layer.groups.wake:
			err = s.tell(ctx)
		case <-tick.C:
			err = s.watch(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// tell sends what has been joined and left since it was last called.
func (s *subscriber) tell(ctx context.Context) error {
	joined, left := s.layer.groups.take()
	for channels := range slices.Chunk(joined, chunk) {
		if err := s.pubsub.Subscribe(ctx, channels...); err != nil {
			return err //nolint:wrapcheck // the cause, for health to tell
		}
	}
	for channels := range slices.Chunk(left, chunk) {
		if err := s.pubsub.Unsubscribe(ctx, channels...); err != nil {
			return err //nolint:wrapcheck // the cause, for health to tell
		}
	}
	return nil
}

// watch asks for a sign of life, which receive waits for, and finds connections
// that are open but deaf.
func (s *subscriber) watch(ctx context.Context) error {
	s.mu.Lock()
	deaf := !s.deafFrom.IsZero() && time.Since(s.deafFrom) > silence
	s.mu.Unlock()
	switch {
	case deaf:
		return errDeaf
	case s.layer.groups.overdue():
		return errUnconfirmed
	}
	return s.pubsub.Ping(ctx) //nolint:wrapcheck // the cause, for health to tell
}

// sent notes that Redis has taken an own message.
func (s *subscriber) sent(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = max(s.newest, seq)
	if s.newest > s.heard && s.deafFrom.IsZero() {
		s.deafFrom = time.Now()
	}
}

// hear notes that an own message came back.
func (s *subscriber) hear(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = max(s.heard, seq)
	if s.heard >= s.newest {
		s.deafFrom = time.Time{}
	}
}

// upSince returns since when every group is subscribed, or zero.
func (s *subscriber) upSince() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up
}
