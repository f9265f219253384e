package redis_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func testTickets(t *testing.T, p *world.RedisServers) {
	a, b := open(t, p.Options), open(t, p.Options)
	issued, expires := time.Now().UTC().Truncate(time.Second), time.Now().UTC().Add(time.Hour).Truncate(time.Second)
	issue := func(c *redis.Client, expires time.Time, life time.Duration) string {
		t.Helper()
		ticket, err := c.Tickets.Issue(t.Context(), 7, issued, expires, life)
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	ticket := issue(a, expires, world.Limit)
	other := issue(a, expires, world.Limit)
	if _, _, _, err := b.Tickets.Redeem(t.Context(), other); err != nil || other == ticket || len(ticket) < 26 {
		t.Errorf("tickets %s and %s, %v", ticket, other, err)
	}
	p.Each(t, func(ctx context.Context, node *goredis.Client) {
		keys, err := node.Keys(ctx, p.Options.Prefix+"*:ticket:*").Result()
		if err != nil || strings.Contains(strings.Join(keys, " "), ticket) {
			t.Errorf("keys %v, %v: the ticket itself is to stay out", keys, err)
		}
	})
	var got atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 { // on two replicas at once
		wg.Go(func() {
			user, at, until, err := []*redis.Client{a, b}[i%2].Tickets.Redeem(t.Context(), ticket)
			switch {
			case err == nil && user == 7 && at.Equal(issued) && until.Equal(expires):
				got.Add(1)
			case !errors.Is(err, room.ErrNotFound) || errors.Is(err, room.ErrUnavailable):
				t.Errorf("user %d, %v to %v, %v", user, at, until, err)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d got something for one ticket", got.Load())
	}
	for name, ticket := range map[string]string{
		"made up": "NOTICKETNOTICKETNOTICKET00", "nothing": "", "long": strings.Repeat("A", 1<<20), "odd": "*\x00\r\n",
	} {
		if _, _, _, err := a.Tickets.Redeem(t.Context(), ticket); !errors.Is(err, room.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	short, ending := issue(a, expires, time.Millisecond), issue(a, time.Now().Add(10*time.Millisecond), world.Limit)
	world.Eventually(t, "the tickets expire", func() (bool, any) { // by the clock of Redis
		left := p.Sum(t, func(ctx context.Context, node *goredis.Client) int {
			return len(node.Keys(ctx, p.Options.Prefix+"*:ticket:*").Val())
		})
		return left == 0, left
	})
	for _, late := range []string{short, ending} {
		if _, _, _, err := b.Tickets.Redeem(t.Context(), late); !errors.Is(err, room.ErrNotFound) {
			t.Errorf("a ticket outlived itself or its token: %v", err)
		}
	}
}
