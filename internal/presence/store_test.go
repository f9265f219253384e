package presence_test

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/presence"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// waitSaved waits until Redis has the user on one replica.
func waitSaved(t testing.TB, r *replica, user room.UserID) {
	t.Helper()
	world.Eventually(t, "Redis has the user", func() (bool, any) {
		got, err := r.Presence.Load(t.Context(), []room.UserID{user})
		return err == nil && len(got[user].Replicas) == 1, got
	})
}

func removeEntry(t testing.TB, r *replica, user room.UserID) {
	t.Helper()
	if err := r.Presence.Save(t.Context(), map[room.UserID]event.Online{user: {}}); err != nil {
		t.Fatal(err)
	}
}

func waitInbox(t testing.TB, l *log, want bool) {
	t.Helper()
	world.Eventually(t, "the inbox is open or not", func() (bool, any) { return l.now().Inbox == want, l.now() })
}

func (s server) raw(t testing.TB) *goredis.Client {
	t.Helper()
	o, err := goredis.ParseURL(s.url)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s server) key(user room.UserID) string {
	return redis.Name(s.prefix, world.Deployment.ID, "online_"+strconv.FormatInt(int64(user), 10))
}

func TestForgedAndDamagedEntriesAreIgnored(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.start(t, presence.Options{}), s.start(t, presence.Options{})
	online, offline := b.watch(t, 1), b.watch(t, 2)
	defer a.Open(1, false)()
	online.wait(t, true)
	waitSaved(t, a, 1)
	c := s.raw(t)
	entry, err := c.Get(t.Context(), s.key(1)).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(entry)
	damaged[len(damaged)-1] ^= 1
	for _, value := range []struct{ own, other []byte }{
		{own: entry, other: entry}, {damaged, damaged}, {own: []byte{}}, {own: []byte(`{"replicas":[{"replica":"x","until":"2100-01-01T00:00:00Z"}]}`)},
	} {
		for began := time.Now(); time.Since(began) < short.Life/4; <-time.After(5 * time.Millisecond) {
			c.Set(t.Context(), s.key(1), value.own, 0)
			c.Set(t.Context(), s.key(2), value.other, 0)
		}
	}
	if got := offline.now(); got.Online {
		t.Error("a forged entry made a user online")
	}
	online.stays(t, short.Life+short.Poll) // it was written again
}

func TestStatesStayWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := netfault.New(t, world.Host(t, s.url))
	far := server{p.URL(s.url), s.prefix}
	o := presence.Options{Cycle: 800 * time.Millisecond} // go-redis dials about once a second
	a, b := far.start(t, o), far.start(t, o)
	online, offline := b.watch(t, 1), b.watch(t, 2)
	defer a.Open(1, false)()
	online.wait(t, true)
	p.Cut()
	online.stays(t, short.Life+short.Renew) // all entries have expired
	p.Heal()
	online.stays(t, short.Life+3*o.Cycle)
	if got := offline.now(); got.Online {
		t.Errorf("nobody was here, but: %+v", got)
	}
	if got := s.start(t, presence.Options{}).watch(t, 1).now(); !got.Online {
		t.Errorf("the entry was not renewed: %+v", got)
	}
}

func TestNobodyGoesOfflineWhenRedisLosesItsData(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.start(t, presence.Options{}), s.start(t, presence.Options{})
	online := b.watch(t, 1)
	closed := a.Open(1, false)
	online.wait(t, true)
	waitSaved(t, a, 1)
	if err := s.raw(t).Del(t.Context(), s.key(1)).Err(); err != nil {
		t.Fatal(err)
	}
	online.stays(t, short.Life)
	closed()
	online.wait(t, false)
}

// crowd is the number of users of a replica that vanishes.
const crowd = 10_000

// A hall is what the watchers of a crowd were told last, and when.
type hall struct {
	mu     sync.Mutex
	online int
	states [crowd]presence.State
	times  [crowd]time.Time
}

func (h *hall) watch(t testing.TB, r *replica, i int) {
	t.Helper()
	_, stop := r.Watch(room.UserID(i+1), func(s presence.State) {
		h.mu.Lock()
		defer h.mu.Unlock()
		switch before := h.states[i].Online; {
		case s.Online && !before:
			h.online++
		case before && !s.Online:
			h.online--
		}
		h.states[i], h.times[i] = s, time.Now()
	})
	t.Cleanup(stop)
}

func (h *hall) wait(t testing.TB, online int) {
	t.Helper()
	world.Eventually(t, "so many are online: "+strconv.Itoa(online), func() (bool, any) {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.online == online, h.online
	})
}

func TestAVanishedReplicaCausesNoBurst(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	o := presence.Options{Life: 15 * time.Second, Renew: 3 * time.Second, Poll: 2 * time.Second, Cycle: time.Second, Tick: 200 * time.Millisecond}
	a, b := s.start(t, o), s.start(t, o)
	var h hall
	for i := range crowd {
		a.Open(room.UserID(i+1), false)
		h.watch(t, b, i)
	}
	h.wait(t, crowd)
	world.Eventually(t, "all are announced", func() (bool, any) { return a.users.Load() >= crowd, a.users.Load() })
	if n := a.events.Load(); n > 4*crowd/500 {
		t.Errorf("%d events for %d users who came online", n, crowd)
	}
	a.kill()
	h.wait(t, 0)
	if n := b.events.Load(); n != 0 {
		t.Errorf("%d events for %d users who expired", n, crowd)
	}
	times := slices.SortedFunc(slices.Values(h.times[:]), time.Time.Compare)
	const many = crowd / 5 // a tick tells a tenth
	for i := many; i < crowd; i++ {
		if d := times[i].Sub(times[i-many]); d < o.Tick/2 {
			t.Fatalf("%d watchers were told within %v", many, d)
		}
	}
}

func TestASocketCostsOneCommandInTwentySeconds(t *testing.T) {
	t.Parallel()
	s := server{world.StartRedis(t).URL(), "own:"}
	all := []string{"get", "mget", "set", "del", "eval", "evalsha"}
	const sockets, scale = 500, 10 // of each replica; a second of the test is scale seconds
	o := presence.Options{
		Grace: 1100 * time.Millisecond, Life: 6 * time.Second, Renew: 2 * time.Second, Poll: time.Second,
		Cycle: 500 * time.Millisecond, Tick: 100 * time.Millisecond, Announce: 25 * time.Millisecond,
	}
	a, b := s.start(t, o), s.start(t, o)
	for id := range room.UserID(sockets) {
		a.Open(id+1, false)
		b.Open(id+1+sockets, false)
		a.watch(t, id+1+sockets)
		b.watch(t, id+1)
	}
	c := s.raw(t)
	<-time.After(2 * o.Renew)
	began, before := time.Now(), commands(t, c, all...)
	<-time.After(6 * time.Second)
	sent, period := commands(t, c, all...)-before, time.Since(began)
	perSocket := float64(sent) / (2 * sockets) / (period.Seconds() * scale / 20)
	t.Logf("%d commands: %.2f for each socket in 20 s", sent, perSocket)
	if perSocket > 1.05 || perSocket < 0.2 { // renewals are a few more or less at both ends of the period
		t.Errorf("%.2f commands for each socket in 20 s", perSocket)
	}
}

func TestUsersWhoConnectTogetherShareCommands(t *testing.T) {
	t.Parallel()
	s := server{world.StartRedis(t).URL(), "own:"}
	r := s.start(t, presence.Options{Tick: never})
	c := s.raw(t)
	before, began := commands(t, c, "mget"), time.Now()
	const users = 200
	for id := range room.UserID(users) {
		r.Open(id+1, false)
		<-time.After(500 * time.Microsecond)
	}
	waitSaved(t, r, users)
	const pause = 5 * time.Millisecond
	reads, most := commands(t, c, "mget")-before, 10+int(time.Since(began)/pause)
	if reads > most {
		t.Errorf("%d reads for %d users, want at most %d", reads, users, most)
	}
}

// commands returns the number of commands with these names that Redis has executed.
func commands(t testing.TB, c *goredis.Client, names ...string) (n int) {
	t.Helper()
	info, err := c.InfoMap(context.WithoutCancel(t.Context()), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		stat := info["Commandstats"]["cmdstat_"+name]
		var calls int
		if _, rest, ok := bytes.Cut([]byte(stat), []byte("calls=")); ok {
			number, _, _ := bytes.Cut(rest, []byte(","))
			calls, _ = strconv.Atoi(string(number))
		}
		n += calls
	}
	return n
}
