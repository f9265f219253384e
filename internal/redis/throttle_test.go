package redis_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func testThrottle(t *testing.T, p *world.RedisServers) {
	a, b := open(t, p.Options), open(t, p.Options)
	take := func(c *redis.Client, names []string, limits []int) (int, time.Duration) {
		t.Helper()
		full, wait, err := c.Throttle.Take(t.Context(), names, limits)
		if err != nil {
			t.Fatal(err)
		}
		return full, wait
	}
	// Buckets empty by the clock of Redis, so that a slow run has to begin anew.
	quickly := func(what string, limit time.Duration, scene func(suffix string) bool) {
		t.Helper()
		run := 0
		world.Eventually(t, "the scene fits into its limit", func() (bool, any) {
			run++
			start := time.Now()
			ok := scene(strconv.Itoa(run))
			if !ok && time.Since(start) < limit {
				t.Fatal(what)
			}
			return ok, what
		})
	}

	var names []string
	limits := []int{3, 30}
	quickly("three attempts at once, then one each third of a minute", 20*time.Second, func(suffix string) bool {
		names = []string{"pair" + suffix, "account" + suffix}
		start := time.Now()
		for i := range 3 {
			if full, wait := take([]*redis.Client{a, b}[i%2], names, limits); full != -1 || wait != 0 {
				t.Fatalf("attempt %d: bucket %d is full for %v", i+1, full, wait)
			}
		}
		for range 30 {
			full, wait := take(b, names, limits)
			if full != 0 || wait > 20*time.Second || wait < 19*time.Second-time.Since(start) {
				return false
			}
		}
		return true
	})
	for i := range 27 { // what the full bucket refused has not been counted against the other one
		if full, _ := take(a, names[1:], limits[1:]); full != -1 {
			t.Fatalf("only %d more", i)
		}
	}
	if err := b.Throttle.Give(t.Context(), names, limits); err != nil {
		t.Fatal(err)
	}
	p.ForgetScripts(t)
	if full, _ := take(a, names, limits); full != -1 {
		t.Errorf("an attempt that was given back counts: bucket %d is full", full)
	}
	quickly("giving back to an empty bucket changes nothing", 20*time.Second, func(suffix string) bool {
		never := []string{"never" + suffix}
		if err := b.Throttle.Give(t.Context(), never, []int{3}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if full, _ := take(a, never, []int{3}); full != -1 {
				t.Fatal("what was given back to an empty bucket took room")
			}
		}
		full, _ := take(a, never, []int{3})
		return full == 0
	})
	quick, perMinute := []string{"quick"}, []int{60}
	for range 120 {
		if full, _ := take(a, quick, perMinute); full != -1 {
			break
		}
	}
	world.Eventually(t, "the throttle is full", func() (bool, any) { // one a second
		full, wait := take(a, quick, perMinute)
		return full == -1, wait
	})
}
