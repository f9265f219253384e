package auth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// enter lets clients wait for a turn, one after the other, and returns a function that returns
// the next one that got a turn or was refused.
func enter(t *testing.T, q *queue, clients ...Client) (next func() string) {
	t.Helper()
	ends := make(chan string, len(clients))
	for _, c := range clients {
		go func() {
			if err := q.acquire(t.Context(), c); err != nil {
				ends <- c.Network + " refused"
				return
			}
			ends <- c.Network
		}()
		synctest.Wait()
	}
	return func() string {
		synctest.Wait()
		select {
		case end := <-ends:
			return end
		default:
			return "nobody"
		}
	}
}

func others(networks string) (all []Client) {
	for n := range strings.FieldsSeq(networks) {
		all = append(all, Client{Network: n})
	}
	return all
}

func known(networks string) (all []Client) {
	for n := range strings.FieldsSeq(networks) {
		all = append(all, Client{Known: true, Network: n})
	}
	return all
}

func TestTheOrderOfTurns(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		places  int
		clients []Client // the first one gets its turn at once
		want    string   // who is refused, and then the order of turns
	}{
		"first come, first served":          {9, others("a b c d"), "a b c d"},
		"networks take turns":               {9, others("x a a a b b c"), "x a b c a b a"},
		"one network with many clients":     {4, others("x a a a a b"), "x a refused b a a a"},
		"a full queue refuses the greedy":   {3, others("x a a a a"), "x a refused a a a"},
		"in a full queue, the last is next": {3, others("x a b c d"), "x a refused d b c"},
		"known clients have every other turn": {
			9, append(others("x a b c"), known("k l m")...), "x k a l b m c",
		},
		"known clients have half of the places": {
			4, append(others("x a b c d"), known("k l m")...), "x a refused b refused k refused m c l d",
		},
		"others have half of the places": {
			4, append(known("x k l m n"), others("a b c")...), "x k refused l refused a refused c m b n",
		},
		"no place":                         {0, others("x a"), "x a refused"},
		"a known client displaces another": {1, append(others("x a"), known("k")...), "x a refused k"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(1, tt.places)
				next := enter(t, q, tt.clients...)
				var got []string
				for range tt.clients {
					end := next()
					if end == "nobody" {
						q.release()
						end = next()
					}
					got = append(got, end)
				}
				if got := strings.Join(got, " "); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

// A crowd fills the queue from many networks, again and again. A client that comes from a new
// network, or from an address that it is known at, is served by the next turns.
func TestACrowdKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const networks, turn = 100, 200 * time.Millisecond
		q := newQueue(1, 32)
		stop, cancel := context.WithCancel(t.Context())
		attempt := func(ctx context.Context, c Client) error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			err := q.acquire(ctx, c)
			if err == nil {
				<-time.After(turn)
				q.release()
			}
			return err
		}
		for i := range networks {
			go func() {
				for stop.Err() == nil {
					if attempt(stop, Client{Network: strconv.Itoa(i)}) != nil {
						<-time.After(300 * time.Millisecond)
					}
				}
			}()
		}
		for i := range 20 {
			<-time.After(2 * time.Second)
			for _, c := range []Client{{Network: fmt.Sprintf("new %d", i)}, {Known: true, Network: "1"}} {
				began := time.Now()
				if err := attempt(t.Context(), c); err != nil || time.Since(began) > 4*turn {
					t.Errorf("%+v: %v after %v", c, err, time.Since(began))
				}
				q.forgive(c)
			}
		}
		cancel()
		synctest.Wait()
		if running, waiting := q.sizes(); running > 1 || waiting != 0 {
			t.Errorf("%d at work, %d wait", running, waiting)
		}
		<-time.After(time.Minute)
	})
}

func TestWhoLeavesTheQueueTakesNoTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 2)
		if err := q.acquire(t.Context(), Client{}); err != nil {
			t.Fatal(err)
		}
		why := errors.New("the client left")
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error)
		go func() { failed <- q.acquire(ctx, Client{Network: "a"}) }()
		synctest.Wait()
		cancel(why)
		if err := <-failed; !errors.Is(err, ErrBusy) || !errors.Is(err, why) {
			t.Errorf("error %v", err)
		}
		if n := q.tally.count(Client{Network: "a"}); n != refused {
			t.Errorf("a network that left the queue counts %v", n)
		}
		if err := q.acquire(ctx, Client{}); !errors.Is(err, why) {
			t.Errorf("a context that has ended: %v", err)
		}
		q.release()
		if running, waiting := q.sizes(); running != 0 || waiting != 0 {
			t.Errorf("%d at work, %d wait", running, waiting)
		}
	})
}

func TestAQueueThatWouldRefuseAClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 2)
		if q.refuses(Client{Network: "a"}) {
			t.Error("a turn is free")
		}
		next := enter(t, q, others("x a")...)
		if q.refuses(Client{Network: "a"}) {
			t.Error("a place is free")
		}
		enter(t, q, others("b")...)
		for network, want := range map[string]bool{"a": true, "x": true, "new": false} {
			if got := q.refuses(Client{Network: network}); got != want {
				t.Errorf("%s would be refused: %v", network, got)
			}
		}
		if q.refuses(Client{Known: true, Network: "a"}) {
			t.Error("known clients have places of their own")
		}
		if n := q.tally.count(Client{Network: "a"}); n != refused {
			t.Errorf("a refused network counts %v", n)
		}
		for end := next(); end != "nobody"; end = next() {
			q.release()
		}
		for range 2 {
			q.release()
			synctest.Wait()
		}
	})
}

func TestATallyFades(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tally := newTally()
		a, b := Client{Network: "a"}, Client{Network: "a", Known: true}
		count := func(c Client, want float64) {
			t.Helper()
			tally.fade()
			if got := tally.count(c); got != want {
				t.Errorf("%+v counts %v, want %v", c, got, want)
			}
		}
		tally.add(a, 4)
		tally.refuse(a)
		tally.refuse(b)
		count(a, 4)
		count(b, refused)
		<-time.After(tallyHalfLife)
		count(a, 2)
		tally.add(a, 1)
		tally.add(a, -1) // was right
		count(a, 2)
		<-time.After(2*tallyHalfLife + tallyHalfLife/2)
		count(a, 0.5)
		tally.add(a, -1)
		count(a, 0)
	})
}

// TestNetworksHardlyShareCounts counts a thousand networks and looks at a thousand others.
func TestNetworksHardlyShareCounts(t *testing.T) {
	t.Parallel()
	tally, shared := newTally(), 0
	for i := range 1000 {
		tally.add(Client{Network: fmt.Sprint("a", i)}, 1)
	}
	for i := range 1000 {
		if tally.count(Client{Network: fmt.Sprint("b", i)}) != 0 {
			shared++
		}
	}
	if shared > 50 { // 2 are expected
		t.Errorf("%d of 1,000 networks count for others", shared)
	}
}
