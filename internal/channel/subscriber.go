package channel

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
)

// maxChannels is the maximum number of channels in one SUBSCRIBE.
const maxChannels = 500

// A subscriber uses one subscription, from its dial to its loss. After any error it is
// given up, and the shard makes another one.
//
// Two goroutines use it: run sends commands, receive receives events.
type subscriber struct {
	shard        *shard
	subscription *redis.Subscription
	deployment   event.Deployment // whose channels it subscribes to
	sharded      bool             // by SSUBSCRIBE
	base         string           // the beginning of their names
	echo         string           // the channel for its echoes
	again        bool             // an earlier subscriber was lost, and payloads with it
	echoConfirms int              // confirmations of the echo channel; only for receive

	mu          sync.Mutex
	upSince     time.Time // when every group was confirmed
	published   uint64    // newest echo that Redis accepted
	received    uint64    // newest echo that came back
	silentSince time.Time // when Redis accepted the first of the echoes that have not come back
}

// subscribe runs one subscriber until its connection is lost. It returns the reason, and
// how long every group was subscribed.
func (s *shard) subscribe(ctx context.Context) (up time.Duration, err error) {
	epoch := s.groups.connect()
	d := &s.client.Ring().Deployment
	sub := &subscriber{shard: s, deployment: *d, sharded: s.layer.pubsub.sharded.Load(), base: s.client.Base(d), echo: s.echoChannel(d, epoch)}
	if sub.subscription, err = s.client.Subscribe(ctx, sub.echo, sub.sharded); err != nil {
		return 0, err //nolint:wrapcheck // health names the operation
	}
	defer sub.subscription.Close()
	sub.again, s.subscribes = s.subscribes, true
	s.current.Store(sub)

	lost := make(chan error, 1)
	var receive sync.WaitGroup
	receive.Go(func() { lost <- sub.receive() })
	err = sub.run(ctx, lost)
	sub.subscription.Cut() // makes receive return
	receive.Wait()
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if !sub.upSince.IsZero() {
		up = time.Since(sub.upSince)
	}
	return up, err
}

// run subscribes and unsubscribes groups, and watches the connection, until it is lost
// or ctx ends.
func (s *subscriber) run(ctx context.Context, lost <-chan error) error {
	if err := s.sendChanges(); err != nil {
		return err
	}
	// Redis confirms in order. The second confirmation of this channel means that every
	// group above is confirmed.
	if s.shard.index == 0 {
		if err := s.subscription.SubscribePlain(s.shard.layer.deployments.channel); err != nil {
			return err //nolint:wrapcheck // health names the operation
		}
	}
	if err := s.subscription.Subscribe(s.echo); err != nil {
		return err //nolint:wrapcheck // health names the operation
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err = <-lost:
		case <-s.shard.reconnect:
			if s.outdated() {
				return errRenamed
			}
		case <-s.shard.groups.changed:
			err = s.sendChanges()
		case <-tick.C:
			err = s.checkConnection()
		}
		if err != nil {
			return err
		}
	}
}

// outdated reports whether the deployment, its timeline or the kind of Pub/Sub has changed since
// the dial.
func (s *subscriber) outdated() bool {
	return !s.shard.client.Ring().Same(&s.deployment) || s.sharded != s.shard.layer.pubsub.sharded.Load()
}

// sendChanges sends the joins and leaves since the last call.
func (s *subscriber) sendChanges() error {
	subscribe, unsubscribe := s.shard.groups.takeChanges()
	for groups := range slices.Chunk(subscribe, maxChannels) {
		if err := s.subscription.Subscribe(s.channels(groups)...); err != nil {
			return err //nolint:wrapcheck // health names the operation
		}
	}
	for groups := range slices.Chunk(unsubscribe, maxChannels) {
		if err := s.subscription.Unsubscribe(s.channels(groups)...); err != nil {
			return err //nolint:wrapcheck // health names the operation
		}
	}
	return nil
}

// channels returns the channels of groups.
func (s *subscriber) channels(groups []string) []string {
	channels := make([]string, len(groups))
	for i, g := range groups {
		channels[i] = s.shard.client.Name(&s.deployment, g)
	}
	return channels
}

// group returns the group of a channel: what follows the tag.
func (s *subscriber) group(channel string) string {
	_, group, _ := strings.Cut(strings.TrimPrefix(channel, s.base), "}:")
	return group
}

// checkConnection returns an error if the connection is open but does not work. Otherwise
// it sends PING, whose reply keeps receive from timing out.
func (s *subscriber) checkConnection() error {
	silence := s.shard.silence
	s.mu.Lock()
	noEcho := !s.silentSince.IsZero() && time.Since(s.silentSince) > silence
	s.mu.Unlock()
	switch {
	case noEcho:
		return fault{fmt.Errorf("%w for %v", errNoEcho, silence), causeStalled}
	case s.shard.groups.overdue():
		return fault{fmt.Errorf("SUBSCRIBE was sent but not confirmed for %v", silence), causeStalled}
	}
	return s.subscription.Ping() //nolint:wrapcheck // health names the operation
}

// echoPublished records that Redis accepted an echo.
func (s *subscriber) echoPublished(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published = max(s.published, seq)
	if s.published > s.received && s.silentSince.IsZero() {
		s.silentSince = time.Now()
	}
}

// echoReceived records that an echo came back.
func (s *subscriber) echoReceived(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = max(s.received, seq)
	if s.received >= s.published {
		s.silentSince = time.Time{}
	}
}
