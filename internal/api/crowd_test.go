package api_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func from(address string) []string { return []string{"X-Forwarded-For", address} }

func TestACrowdOfWrongPasswordsKeepsNoOwnerOut(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", world.TrustLoopback, func(o *app.Options) { o.LoginConcurrency, o.LoginQueue = 1, 4 })
	customer, therapist := r.Chat(t, world.Customer), r.Chat(t, world.Therapist)
	const networks = 8
	var refused [networks]atomic.Bool
	stop := make(chan struct{})
	var crowd sync.WaitGroup
	defer crowd.Wait()
	defer close(stop)
	for i := range 2 * networks {
		crowd.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				got := r.Post(t, "/login/", m{"identifier": fmt.Sprintf("u%d-%d@example.com", i, n), "password": "x"}, from(fmt.Sprintf("198.18.%d.1", i%networks))...)
				if got.Status == http.StatusServiceUnavailable {
					refused[i%networks].Store(true)
				}
			}
		})
	}
	world.Eventually(t, "the crowd fills the queue", func() (bool, any) {
		n := 0
		for i := range refused {
			if refused[i].Load() {
				n++
			}
		}
		return n == networks, n
	})
	r.Login(t, world.Customer, world.Password, from("203.0.113.1")...).Expect(t, 200, "") // from an address that is new
	for range 2 {
		r.Login(t, world.Customer, world.Password, from("203.0.113.1")...).Expect(t, 200, "") // and is known now
	}
	r.Login(t, world.Support, world.Password, from("2001:db8::1")...).Expect(t, 200, "")
	customer.Say(t, "still here", "one")
	therapist.Find(t, "chat_message")
}

func TestAnAttackedAccountStaysOpenToWhoIsKnown(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, world.TrustLoopback, func(o *app.Options) {
		o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount = 2, 2, 2
	})
	home, other := from("203.0.113.1"), from("203.0.113.2")
	a.Login(t, world.Customer, world.Password, home...).Expect(t, 200, "")
	a.Login(t, world.Therapist, world.Password, other...).Expect(t, 200, "")
	for i := range 2 {
		a.Login(t, world.Customer, "wrong", from("198.18.0."+strconv.Itoa(i))...).Expect(t, 401, "bad_credentials")
		a.Login(t, world.Nobody, "wrong", home...).Expect(t, 401, "bad_credentials") // a neighbour guesses
	}
	b.Login(t, world.Customer, world.Password, home...).Expect(t, 200, "")
	b.Login(t, world.Customer, world.Password, other...).Expect(t, 429, "too_many_attempts")

	// What is copied in Redis makes nobody known.
	redis := w.RedisClient(t)
	keys, err := redis.Keys(t.Context(), w.RedisPrefix+"*login:pairs:*").Result()
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %v: %v", keys, err)
	}
	var pairs []string
	for _, key := range keys {
		value, err := redis.Get(t.Context(), key).Result()
		if life := redis.TTL(t.Context(), key).Val(); err != nil || len(value) != 32 || life <= 0 {
			t.Errorf("%s for %v: %v", value, life, err)
		}
		pairs = append(pairs, value)
	}
	for _, key := range keys {
		if err := redis.Set(t.Context(), key, strings.Join(pairs, " "), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	b.Login(t, world.Customer, world.Password, other...).Expect(t, 429, "too_many_attempts")

	for range 2 { // who is known may not guess either
		b.Login(t, world.Customer, "wrong", home...).Expect(t, 401, "bad_credentials")
	}
	b.Login(t, world.Customer, world.Password, home...).Expect(t, 429, "too_many_attempts")
}

func TestTheLargerNetworksOfAnAddressHaveLimits(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", world.TrustLoopback, func(o *app.Options) {
		o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount, o.LoginConcurrency = 1, 1, 100, 2
	})
	// All at once, so that no limit regains anything meanwhile. What a password costs is not the point.
	var all sync.WaitGroup
	var refused atomic.Int64
	guess := func(identifier, address string) {
		all.Go(func() {
			if r.Post(t, "/login/", m{"identifier": identifier, "password": "wrong"}, from(address)...).Status == http.StatusTooManyRequests {
				refused.Add(1)
			}
		})
	}
	for i := range 5 {
		guess("one@example.com", fmt.Sprintf("2001:db8:1:%d00::1", i))              // each a /56
		guess(fmt.Sprintf("%d@example.com", i), fmt.Sprintf("2001:db8:2:%d::1", i)) // each a /64
	}
	all.Wait()
	if n := refused.Load(); n != 2 {
		t.Errorf("%d refused, want one of each network", n)
	}
	r.Login(t, world.Customer, world.Password, from("2001:db8:3::1")...).Expect(t, 200, "")
	for _, limit := range []string{"account_network", "network"} {
		if n := r.Metric(t, `roomspa_logins_throttled_total{limit="`+limit+`"}`); n != 1 {
			t.Errorf("%v refused for the %s", n, limit)
		}
	}
}
