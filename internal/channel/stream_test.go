package channel_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// streamGroups is the number of groups that are published to: most of the 32 hash tags have one.
const streamGroups = 64

// A stream publishes numbers to many groups, one after the other to each, and judges what a member
// on another replica is told.
type stream struct {
	t      *testing.T
	groups [streamGroups]streamGroup
	stop   context.CancelFunc
	done   sync.WaitGroup

	repeats bool // what was published both ways may be heard twice
}

type streamGroup struct {
	name string

	mu      sync.Mutex
	sent    int          // the last number that was handed in
	failed  map[int]bool // numbers that the publisher was told are perhaps lost
	got     []int
	excused int // the last number that was handed in when missed was called
}

// startStream starts a stream to groups of a customer.
func startStream(t *testing.T, customer int, from, to *channel.Layer) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &stream{t: t, stop: cancel}
	for i := range s.groups {
		g := &s.groups[i]
		g.name, g.failed = "chat_"+itoa(customer)+"_"+itoa(i), map[int]bool{}
		join, cancel := context.WithTimeout(ctx, world.Limit)
		defer cancel()
		if _, err := to.Join(join, g.name, g.deliver, g.missed); err != nil {
			t.Fatal(err)
		}
	}
	s.done.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			for i := range s.groups {
				s.groups[i].publish(from)
			}
			<-tick.C
		}
	})
	t.Cleanup(func() { s.stop(); s.done.Wait() })
	return s
}

func (g *streamGroup) publish(l *channel.Layer) {
	g.mu.Lock()
	g.sent++
	n := g.sent
	g.mu.Unlock()
	l.Publish(g.name, text(itoa(n)), func(err error) {
		if err != nil {
			g.mu.Lock()
			g.failed[n] = true
			g.mu.Unlock()
		}
	})
}

func (g *streamGroup) deliver(e event.Event) {
	n := 0
	for _, b := range e.Body {
		n = 10*n + int(b-'0')
	}
	g.mu.Lock()
	g.got = append(g.got, n)
	g.mu.Unlock()
}

func (g *streamGroup) missed(bool) {
	g.mu.Lock()
	g.excused = g.sent
	g.mu.Unlock()
}

// resumes waits until every group hears what was published after the call.
func (s *stream) resumes(within time.Duration) {
	s.t.Helper()
	start := time.Now()
	var from [streamGroups]int
	for i := range s.groups {
		s.groups[i].mu.Lock()
		from[i] = s.groups[i].sent
		s.groups[i].mu.Unlock()
	}
	world.Eventually(s.t, "every group hears again", func() (bool, any) {
		for i := range s.groups {
			g := &s.groups[i]
			g.mu.Lock()
			last := 0
			if len(g.got) > 0 {
				last = g.got[len(g.got)-1]
			}
			g.mu.Unlock()
			if last <= from[i] {
				return false, g.name
			}
		}
		return true, nil
	})
	took := time.Since(start)
	s.t.Logf("heard again after %v", took)
	if took > within {
		s.t.Errorf("it took %v until every group heard again, want %v", took, within)
	}
}

// judge ends the stream. Each group must have heard its numbers in order and once. For what it has
// not heard either the publisher was told, or the member was, after it was published.
func (s *stream) judge() {
	s.t.Helper()
	s.stop()
	s.done.Wait()
	lost := 0
	for i := range s.groups {
		g := &s.groups[i]
		world.Eventually(s.t, "the last one is heard", func() (bool, any) {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.failed[g.sent] || g.sent <= g.excused || slices.Contains(g.got, g.sent), g.name
		})
		g.mu.Lock()
		if !s.repeats && !slices.IsSorted(g.got) || !s.repeats && len(slices.Compact(slices.Clone(g.got))) != len(g.got) {
			s.t.Errorf("%s was heard out of order or twice: %v", g.name, g.got)
		}
		heard := map[int]bool{}
		for _, n := range g.got {
			heard[n] = true
		}
		for n := 1; n <= g.sent; n++ {
			if heard[n] {
				continue
			}
			lost++
			if !g.failed[n] && n > g.excused {
				s.t.Errorf("%s: %d of %d was lost, and nobody was told (told up to %d)", g.name, n, g.sent, g.excused)
			}
		}
		g.mu.Unlock()
	}
	s.t.Logf("%d of %d were lost, each with notice", lost, streamGroups*s.groups[0].sent)
}
