package story_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/story"
)

// A shelf is a store in memory: what a real one does is tested where it is.
type shelf struct {
	mu       sync.Mutex
	stories  []*story.Story
	err      error
	stalled  chan struct{} // Keep waits for it; nil for no wait
	failures []story.Failure
}

func (s *shelf) Keep(_ context.Context, stories []*story.Story) error {
	if s.stalled != nil {
		<-s.stalled
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.stories = append(s.stories, stories...)
	}
	return s.err
}

func (s *shelf) Find(_ context.Context, ref string) (found []*story.Story, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.stories {
		if t.Ref == ref {
			found = append(found, t)
		}
	}
	return found, s.err
}

func (s *shelf) Failures(context.Context, int64) ([]story.Failure, error) { return s.failures, s.err }

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stories)
}

func refused(user int64) *story.Story {
	s := story.Begin(story.NewRef())
	s.Endpoint, s.Path, s.User = "chat", "/ws/chat/1/2/", user
	err := s.Do("token found", func() error { s.Detail("a token of 231 bytes"); return nil })
	err = errors.Join(err, s.Do("token decoded", func() error { return errors.New("refused") }))
	if err != nil {
		s.Refuse(story.Refused, 4001, "token_expired", "", "expired: 5m ago")
	}
	return s
}

func TestStorySurvivesBeingKept(t *testing.T) {
	t.Parallel()
	s := refused(7)
	got, ok := story.Decode(s.Encode())
	if !ok || got.Ref != s.Ref || got.Why() != "token_expired" || got.User != 7 {
		t.Fatalf("got %+v", got)
	}
	if f := got.FailedStep(); f == nil || f.Name != "token decoded" || f.Outcome != story.Refused || f.Detail != "expired: 5m ago" {
		t.Errorf("the failed step is %+v", f)
	}
	if len(s.Encode()) > 1024 {
		t.Errorf("a story takes %d bytes", len(s.Encode()))
	}
	if _, ok := story.Decode([]byte(`{"v":2,"ref":"x"}`)); ok {
		t.Error("another version's story was read")
	}
}

func TestNoStoryGrowsWithoutBound(t *testing.T) {
	t.Parallel()
	s := refused(1)
	for range 100 {
		_ = s.Do("a step", func() error { s.Detail(strings.Repeat("ä", 1000)); return nil })
	}
	s.Refuse(story.Failed, 1011, "internal", "", "panic: x\nand its stack\n")
	if n := len(s.Encode()); n > 16<<10 {
		t.Errorf("it takes %d bytes", n)
	}
	if d := s.Last().Detail; d != "panic: x" {
		t.Errorf("the detail is %q", d)
	}
}

func TestPartsOfOneStoryAreMergedInAnyOrder(t *testing.T) {
	t.Parallel()
	a := refused(7)
	end := &story.Story{Version: story.Version, Ref: a.Ref, End: &story.End{Code: 1006, Reason: "abnormal", By: "network"}}
	back := &story.Story{Version: story.Version, Ref: a.Ref, Returns: []story.Return{{Ref: "new", Code: "1006"}}}
	for i, parts := range [][]*story.Story{{a, end, back}, {back, end, a}, {end, a, back, back}} {
		m := story.Merge(parts)
		if m.Reason != "token_expired" || m.End == nil || len(m.Returns) != 1 || len(m.Steps) != 3 {
			t.Errorf("%d: merged to %+v", i, m)
		}
	}
	if story.Merge(nil) != nil {
		t.Error("nothing became something")
	}
}

func TestKeeperTellsFromItsMemoryWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	store := &shelf{err: errors.New("Redis is away")}
	k := story.NewRecorder("a", store, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	s := refused(7)
	k.RecordFailed(s)
	told, err := k.Explain(t.Context(), s.Ref)
	if err != nil || told.Missing == "" || told.Story.Replica != "a" || told.Failed.Name != "token decoded" || told.Advice.Cause != "token_expired" {
		t.Fatalf("told %+v, %v", told, err)
	}
	if _, err := k.Explain(t.Context(), story.NewRef()); err == nil || errors.Is(err, story.ErrUnknown) {
		t.Errorf("an unknown one without a store is %v", err)
	}
	store.err = nil
	if _, err := k.Explain(t.Context(), story.NewRef()); !errors.Is(err, story.ErrUnknown) {
		t.Errorf("an unknown one is %v", err)
	}
}

// TestFloodIsBounded holds a store that has stalled, and a storm of failures.
func TestFloodIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &shelf{stalled: make(chan struct{})}
		reg := prometheus.NewRegistry()
		k := story.NewRecorder("a", store, slog.New(slog.DiscardHandler), reg)
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { k.Run(ctx) })
		first := refused(1)
		k.RecordFailed(first)
		for range 60 {
			for range 1000 {
				k.RecordFailed(refused(1))
			}
			time.Sleep(time.Second) //nolint:forbidigo // in a bubble
		}
		close(store.stalled)
		cancel()
		run.Wait()
		if n := store.len(); n < 1000 || n > 2*1024 { // one half with the store, one waiting
			t.Errorf("%d of 60,001 stories waited for the store", n)
		}
		if _, err := k.Explain(t.Context(), first.Ref); err != nil {
			t.Errorf("the first one is lost: %v", err)
		}
		last := refused(2)
		k.RecordFailed(last)
		if told, err := k.Explain(t.Context(), last.Ref); err != nil || told.Story.User != 2 {
			t.Errorf("the newest one is not in the memory: %v", err)
		}
	})
}

func TestUsersHabitIsSeen(t *testing.T) {
	t.Parallel()
	s := refused(7)
	noon := time.Now().Add(-time.Hour)
	store := &shelf{failures: []story.Failure{
		{User: 7, Ref: "after", At: time.Now().Add(time.Second), Code: 4001, Why: "token_expired"},
		{User: 7, Ref: s.Ref, At: s.Began, Code: 4001, Why: "token_expired"},
		{User: 7, Ref: "b", At: noon.Add(2 * time.Minute), Code: 4003, Why: "not_your_room"},
		{User: 7, Ref: "c", At: noon.Add(time.Minute), Code: 4001, Why: "token_expired"},
		{User: 7, Ref: "d", At: noon, Code: 4001, Why: "token_expired"},
		{User: 7, Ref: "old", At: noon.Add(-24 * time.Hour), Code: 4001, Why: "token_expired"},
	}, stories: []*story.Story{s}}
	told, err := story.Explain(t.Context(), store, s.Ref)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("the 3rd token_expired since %s: the client does not refresh its token", noon.UTC().Format("15:04"))
	if told.Pattern != want {
		t.Errorf("the pattern is %q, want %q", told.Pattern, want)
	}
	var b strings.Builder
	if err := told.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FAILED  token decoded", "Cause:     4001 token_expired", "To do:", "the 3rd token_expired", "User 7 failed 5 times"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, b.String())
		}
	}
}

// BenchmarkFailedStory is what a failing handshake costs more: at 1,000 a second it
// must not be felt by the good ones.
func BenchmarkFailedStory(b *testing.B) {
	k := story.NewRecorder("a", &shelf{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(b.Context())
	var run sync.WaitGroup
	run.Go(func() { k.Run(ctx) })
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k.RecordFailed(refused(1))
		}
	})
	cancel()
	run.Wait()
}

// BenchmarkGoodStory is what the story of a good handshake costs.
func BenchmarkGoodStory(b *testing.B) {
	k := story.NewRecorder("a", &shelf{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s := story.Begin(story.NewRef())
			for range 7 {
				_ = s.Do("a step", func() error { return nil })
			}
			k.RecordAccepted(s)
		}
	})
}
