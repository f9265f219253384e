package channel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// Join makes the caller a member of the group. It returns when Redis has confirmed the
// subscription: the member receives everything that is published later. If the replica
// is subscribed already, Join waits for an echo instead, which shows that the connection
// still works. If ctx ends before, the error wraps [room.ErrUnavailable] and names the
// cause.
//
// deliver is called for each event, in the order in which Redis sent them. All members
// share the body and must not modify it. missed is called when events may have been lost,
// and when the layer is up again. missed(true) means that the deployment or its timeline has
// changed, so the database is another one or went back in time; no older event is delivered
// afterwards. One goroutine calls deliver for all groups; it or another one calls missed.
// Both may be called before Join returns, and must not block.
//
// leave ends the membership. A call in progress may still come. A second leave does
// nothing.
func (l *Layer) Join(ctx context.Context, group string, deliver func(event.Event), missed func(reset bool)) (leave func(), err error) {
	start := time.Now()
	m := &member{deliver: deliver, missed: missed}
	s := l.shardOf(group)
	g := s.groups.add(group, m)
	if err := s.awaitSubscription(ctx, g, start); err != nil {
		s.groups.remove(g, m)
		l.metrics.failedJoins.Inc()
		return nil, unavailable("join group "+group, err)
	}
	l.metrics.joins.Observe(time.Since(start).Seconds())
	return func() { s.groups.remove(g, m) }, nil
}

// awaitSubscription returns when Redis has confirmed the subscription of the group, or,
// if it was confirmed before, when an echo has come back.
func (s *shard) awaitSubscription(ctx context.Context, g *group, start time.Time) error {
	for {
		ready := s.groups.await(g)
		echo, forget := make(chan error, 1), func() {}
		if ready == nil {
			forget = s.awaitEcho(func(err error) { echo <- err })
		}
		select {
		case <-ready:
			return nil
		case err := <-echo:
			if err == nil {
				return nil
			}
			backoff(ctx, 1) // the connection was lost; the group is subscribed on the next one
		case <-s.layer.stopped:
			forget()
			return errStopped
		case <-ctx.Done():
			forget()
			return s.joinError(ctx, time.Since(start))
		}
	}
}

// joinError returns the reason why Redis has not confirmed a subscription.
func (s *shard) joinError(ctx context.Context, waited time.Duration) error {
	text := fmt.Sprintf("no confirmed SUBSCRIBE within %v", waited.Round(time.Millisecond))
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		text = fmt.Sprintf("given up after %v without a confirmed SUBSCRIBE", waited.Round(time.Millisecond))
	}
	if _, err := s.health.get(); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return fault{errors.New(text), causeOther}
}
