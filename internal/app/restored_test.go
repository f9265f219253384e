package app_test

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// resume connects a client that has everything up to a message, and returns its connected
// frame's socket.
func resume(t *testing.T, r *world.Replica, user room.UserID, last world.Frame) *world.Socket {
	t.Helper()
	s := r.ConnectAs(t, user, "/ws/chat/1/2/", url.Values{"since": {strconv.FormatInt(last.Seq, 10)}, "id": {last.ID}})
	s.Expect(t, "connected")
	return s
}

func expectReset(t *testing.T, s *world.Socket, last int64) {
	t.Helper()
	if f := s.Expect(t, "resumed"); !f.Reset || f.LastSeq == nil || *f.LastSeq != last {
		t.Errorf("got %s, want a reset at %d", f.Raw, last)
	}
}

func backUp(t *testing.T, w *world.World) (restore func()) {
	t.Helper()
	path, err := w.Postgres.Dump(t.Context(), "postgres", "backup")
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		world.Eventually(t, "the backup is restored", func() (bool, any) { // it may deadlock with a replica
			err := w.Postgres.Restore(t.Context(), "postgres", path)
			return err == nil, err
		})
	}
}

func TestClientsResumeAfterARestoreWhileAllWereAway(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnPostgres, world.OwnRedis)
	a, b := w.Pair(t)
	speaker := a.Chat(t, world.Customer)
	deliver := func(ids ...string) (acks []world.Frame) {
		for _, id := range ids {
			acks = append(acks, speaker.Deliver(t, id, id))
		}
		return acks
	}
	kept := deliver("k1", "k2")
	restore := backUp(t, w)
	lost := deliver("l3", "l4", "l5")
	ctx, cancel := context.WithTimeout(t.Context(), world.Limit)
	defer cancel()
	for _, r := range []*world.Replica{a, b} {
		if err := r.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Redis.Kill(); err != nil {
		t.Fatal(err)
	}
	restore()
	if err := w.Redis.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	a, b = w.Pair(t)
	expectReset(t, resume(t, a, world.Therapist, lost[2]), 2) // its message is gone
	up := resume(t, b, world.Therapist, kept[1])
	if f := up.Expect(t, "resumed"); f.Reset {
		t.Errorf("a client that lost nothing got %s", f.Raw)
	}
	speaker = a.Chat(t, world.Customer)
	speaker.Deliver(t, "n3", "n3")
	up.ExpectMessages(t, 2, 1)
	expectReset(t, resume(t, a, world.Therapist, lost[0]), 3) // another is at its number
	deliver("n4", "n5", "n6", "n7")
	up.ExpectMessages(t, 3, 4)
	expectReset(t, resume(t, b, world.Therapist, lost[2]), 7) // the numbers have passed it
	late := resume(t, a, world.Therapist, kept[0])
	if got := late.ExpectMessages(t, 1, 6); got[1].Text != "n3" {
		t.Errorf("got %v", got)
	}
	if f := late.Expect(t, "resumed"); f.Reset {
		t.Errorf("a client that lost nothing got %s", f.Raw)
	}
}

func TestARestoreWhileRedisIsAwayIsToldOnce(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnPostgres, world.OwnRedis)
	a, b := w.Pair(t)
	speaker, listener := a.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	speaker.Deliver(t, "k1", "k1")
	restore := backUp(t, w)
	for _, id := range []string{"l2", "l3", "l4", "l5"} {
		speaker.Deliver(t, id, id)
	}
	listener.ExpectMessages(t, 0, 5)
	listener.ExpectNothing(t)
	if err := w.Redis.Kill(); err != nil {
		t.Fatal(err)
	}
	restore()
	for _, r := range []*world.Replica{a, b} {
		world.Eventually(t, "the restore is noticed", func() (bool, any) {
			return strings.Contains(r.Log.String(), "Deployment changed: "), nil
		})
	}
	listener.ExpectNothing(t)
	ctx, cancel := context.WithTimeout(t.Context(), world.Limit)
	defer cancel()
	if err := w.Redis.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	expectReset(t, listener, 1)
	if f := speaker.Find(t, "resumed"); !f.Reset {
		t.Errorf("got %s", f.Raw)
	}
	speaker.Deliver(t, "n2", "n2")
	if got := listener.ExpectMessages(t, 1, 1); got[0].Text != "n2" {
		t.Errorf("got %v", got)
	}
	listener.ExpectNothing(t)
}
