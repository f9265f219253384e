package redis_test

import (
	"slices"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
)

func save(t testing.TB, p *redis.Positions, r room.Room, user room.UserID, payload string, at time.Time) {
	t.Helper()
	done := make(chan error, 1)
	p.Save(r, user, []byte(payload), at, func(err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a position was not saved within 10 s")
	}
}

func last(t testing.TB, p *redis.Positions, r room.Room) []string {
	t.Helper()
	got, err := p.Last(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, b := range got {
		all = append(all, string(b))
	}
	return all
}

func testPositions(t *testing.T, p *place) {
	c := open(t, p.options)
	up(t, c.Layer)
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
	save(t, c.Positions, r, 12, "therapist: older", noon.Add(-time.Millisecond))
	want("customer: 1", "therapist: 1")
	save(t, c.Positions, r, 12, "therapist: as old", noon)
	want("customer: 1", "therapist: as old")
	save(t, c.Positions, r, 12, "therapist: newer", noon.Add(time.Millisecond))
	want("customer: 1", "therapist: newer")
	save(t, c.Positions, r, 12, "therapist: says nothing", time.Time{})
	want("customer: 1", "therapist: says nothing")
	save(t, c.Positions, r, 12, "therapist: long ago", noon.AddDate(-100, 0, 0))
	want("customer: 1", "therapist: long ago")
	if got := last(t, c.Positions, room.Room{Customer: 11, Therapist: 13}); len(got) > 0 {
		t.Errorf("another room has %q", got)
	}
	p.forgetScripts(t)
	save(t, c.Positions, r, 12, "therapist: by a server that forgot the script", noon)
	want("customer: 1", "therapist: by a server that forgot the script")

	o := p.options
	o.PositionTTL = 300 * time.Millisecond
	short := open(t, o)
	up(t, short.Layer)
	save(t, short.Positions, r, 11, "customer: soon gone", time.Time{})
	save(t, short.Positions, r, 12, "therapist: soon gone", noon)
	eventually(t, 5*time.Second, func() (bool, any) {
		got := last(t, c.Positions, r)
		return len(got) == 0, got
	})
}

func testSaveThenPublish(t *testing.T, p *place) {
	c, other := open(t, p.options), open(t, p.options)
	up(t, c.Layer, other.Layer)
	r := room.Room{Customer: 21, Therapist: 22}
	heard := join(t, other.Layer, r.Group("location"))
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for i := range 100 {
		at = at.Add(time.Second)
		c.Positions.Save(r, 22, []byte(itoa(i)), at, nil)
		c.Layer.Publish(r.Group("location"), []byte(itoa(i)), nil)
		heard.wants(t, itoa(i))
		if got := last(t, other.Positions, r); !slices.Equal(got, []string{itoa(i)}) {
			t.Fatalf("heard of %d, read %q", i, got)
		}
	}
}
