package redis

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Join makes the caller a member of the group, and returns when Redis has
// confirmed the subscription: what is published after that is delivered. Where the
// replica is subscribed already, a message of its own has to come back first: only
// that shows that Redis still speaks to it. Join waits for Redis until ctx ends; the
// error then wraps [room.ErrUnavailable] and says why Redis did not confirm.
//
// deliver is called for each payload, in the order in which they came from Redis;
// the slice is shared by all members and must not be changed. missed is called when
// payloads may have been lost, and when the layer is up again. deliver is called by
// one goroutine for all groups, missed by that one or another; both may be called
// before Join returns, and must not block. leave ends the
// membership; a call that is under way may still come. It may be called twice.
func (l *Layer) Join(ctx context.Context, group string, deliver func(payload []byte), missed func()) (leave func(), err error) {
	began := time.Now()
	m := &member{deliver: deliver, missed: missed}
	g := l.groups.add(l.prefix+group, m)
	if err := l.confirmed(ctx, g, began); err != nil {
		l.groups.remove(g, m)
		l.metrics.failedJoins.Inc()
		return nil, unavailable("join group "+group, err)
	}
	l.metrics.joins.Observe(time.Since(began).Seconds())
	return func() { l.groups.remove(g, m) }, nil
}

// confirmed returns when Redis has confirmed that the group is subscribed, or when
// an own message shows that the subscription of earlier joins still hears.
func (l *Layer) confirmed(ctx context.Context, g *group, began time.Time) error {
	for {
		ready := l.groups.await(g)
		back, forget := make(chan error, 1), func() {}
		if ready == nil {
			forget = l.probe(func(err error) { back <- err })
		}
		select {
		case <-ready:
			return nil
		case err := <-back:
			if err == nil {
				return nil
			}
			pause(ctx, 1) // the connection was lost, and Redis will be told again on the next one
		case <-l.stopped:
			forget()
			return errStopped
		case <-ctx.Done():
			forget()
			return l.unconfirmed(ctx, time.Since(began))
		}
	}
}

// unconfirmed says why Redis has not confirmed a subscription.
func (l *Layer) unconfirmed(ctx context.Context, waited time.Duration) error {
	late := fmt.Sprintf("no confirmed SUBSCRIBE within %v", waited.Round(time.Millisecond))
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		late = fmt.Sprintf("given up after %v without a confirmed SUBSCRIBE", waited.Round(time.Millisecond))
	}
	if _, why := l.health.get(); why != nil {
		return fmt.Errorf("%s: %w", late, why)
	}
	return errors.New(late)
}
