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
)

func testTickets(t *testing.T, p *place) {
	a, b := open(t, p.options), open(t, p.options)
	up(t, a.Layer, b.Layer)
	issued, expires := time.Now().UTC().Truncate(time.Second), time.Now().UTC().Add(time.Hour).Truncate(time.Second)
	issue := func(c *redis.Client, expires time.Time, life time.Duration) string {
		t.Helper()
		ticket, err := c.Tickets.Issue(t.Context(), 7, issued, expires, life)
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	ticket := issue(a, expires, 30*time.Second)
	if other := issue(a, expires, 30*time.Second); other == ticket || len(ticket) < 26 {
		t.Errorf("tickets %s and %s", ticket, other)
	}
	p.each(t, func(ctx context.Context, node *goredis.Client) {
		keys, err := node.Keys(ctx, p.options.Prefix+"ticket:*").Result()
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
	short, ending := issue(a, expires, time.Millisecond), issue(a, time.Now().Add(10*time.Millisecond), 30*time.Second)
	time.Sleep(30 * time.Millisecond) //nolint:forbidigo // Redis has no other clock
	for _, late := range []string{short, ending} {
		if _, _, _, err := b.Tickets.Redeem(t.Context(), late); !errors.Is(err, room.ErrNotFound) {
			t.Errorf("a ticket outlived itself or its token: %v", err)
		}
	}
}

func testThrottle(t *testing.T, p *place) {
	a, b := open(t, p.options), open(t, p.options)
	up(t, a.Layer, b.Layer)
	names, limits := []string{"pair", "account"}, []int{3, 600}
	take := func(c *redis.Client, names []string, limits []int) (int, time.Duration) {
		t.Helper()
		full, wait, err := c.Throttle.Take(t.Context(), names, limits)
		if err != nil {
			t.Fatal(err)
		}
		return full, wait
	}
	for i := range 3 {
		if full, wait := take([]*redis.Client{a, b}[i%2], names, limits); full != -1 || wait != 0 {
			t.Fatalf("attempt %d: bucket %d is full for %v", i+1, full, wait)
		}
	}
	for range 50 {
		if full, wait := take(b, names, limits); full != 0 || wait < 10*time.Second || wait > 20*time.Second {
			t.Fatalf("a fourth of three: bucket %d is full for %v, want the first for a third of a minute", full, wait)
		}
	}
	for i := range 597 { // what the full bucket refused has not been counted against the other one
		if full, _ := take(a, names[1:], limits[1:]); full != -1 {
			t.Fatalf("only %d more", i)
		}
	}
	if err := b.Throttle.Give(t.Context(), names, limits); err != nil {
		t.Fatal(err)
	}
	p.forgetScripts(t)
	if full, _ := take(a, names, limits); full != -1 {
		t.Errorf("an attempt that was given back counts: bucket %d is full", full)
	}
	if err := b.Throttle.Give(t.Context(), []string{"never"}, []int{3}); err != nil {
		t.Errorf("giving back to an empty bucket: %v", err)
	}
	for range 3 {
		if full, _ := take(a, []string{"never"}, []int{3}); full != -1 {
			t.Error("what was given back to an empty bucket took room")
		}
	}
	if full, _ := take(a, []string{"never"}, []int{3}); full != 0 {
		t.Error("what was given back to an empty bucket made room")
	}
	quick := []string{"quick"}
	for range 6000 {
		if full, _ := take(a, quick, []int{6000}); full != -1 {
			break
		}
	}
	eventually(t, 5*time.Second, func() (bool, any) { // 100 a second come free
		full, wait := take(a, quick, []int{6000})
		return full == -1, wait
	})
}
