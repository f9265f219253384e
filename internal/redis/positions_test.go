package redis_test

import (
	"slices"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func position(user room.UserID, text string, at time.Time) event.Position {
	p := event.Position{User: user, Frame: []byte(text)}
	if !at.IsZero() {
		p.Recorded = at.UnixMilli()
	}
	return p
}

func save(t testing.TB, p *redis.Positions, r room.Room, user room.UserID, payload string, at time.Time) {
	t.Helper()
	err := wait(func(done func(error)) {
		p.Save(r, position(user, payload, at), done)
		p.SaveReported(r, 99, time.Time{}, nil) // a Save goes with the next command
	})
	if err != nil {
		t.Fatal(err)
	}
}

func last(t testing.TB, p *redis.Positions, r room.Room) []string {
	t.Helper()
	got, err := p.Last(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range got {
		p, err := event.ReadPosition(e.Body)
		if err != nil {
			t.Error(err)
		}
		all = append(all, string(p.Frame))
	}
	return all
}

func testPositions(t *testing.T, p *world.RedisServers) {
	c := open(t, p.Options)
	run(t, c)
	r := room.Room{Customer: 11, Therapist: 12}
	want := func(payloads ...string) {
		t.Helper()
		if got := last(t, c.Positions, r); !slices.Equal(got, payloads) {
			t.Fatalf("got %q, want %q", got, payloads)
		}
	}
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	want()
	save(t, c.Positions, r, 12, "therapist: 1", noon)
	want("therapist: 1")
	save(t, c.Positions, r, 11, "customer: 1", time.Time{})
	want("customer: 1", "therapist: 1")
	save(t, c.Positions, r, 12, "therapist: 2", noon.Add(-time.Hour)) // recorded by another clock
	want("customer: 1", "therapist: 2")
	if got := last(t, c.Positions, room.Room{Customer: 11, Therapist: 13}); len(got) > 0 {
		t.Errorf("another room has %q", got)
	}

	o := p.Options
	o.PositionTTL = 300 * time.Millisecond
	short := open(t, o)
	run(t, short)
	save(t, short.Positions, r, 11, "customer: soon gone", time.Time{})
	save(t, short.Positions, r, 12, "therapist: soon gone", noon)
	world.Eventually(t, "the positions expire", func() (bool, any) {
		got := last(t, c.Positions, r)
		return len(got) == 0, got
	})
}
