package redis_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func testPresence(t *testing.T, s *world.RedisServers) {
	c := open(t, s.Options)
	entries, users := map[room.UserID]event.Online{}, []room.UserID{1000}
	for id := range room.UserID(100) { // in all slots that there are
		users = append(users, id+1)
		entries[id+1] = event.Online{
			Replicas: []event.ReplicaPresence{{Replica: c.Process(), Until: time.Unix(int64(id), 0).UTC(), Inbox: id%2 == 0}},
			LastSeen: time.Unix(60*int64(id), 0).UTC(),
		}
	}
	if err := c.Presence.Save(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, s.Options).Presence.Load(t.Context(), users)
	if diff := cmp.Diff(entries, got); err != nil || diff != "" {
		t.Errorf("error %v, -saved +loaded:\n%s", err, diff)
	}
	if got, err := c.Presence.Load(t.Context(), []room.UserID{1001}); err != nil || len(got) != 0 {
		t.Errorf("nobody: %v, %v", got, err)
	}
}

func TestPresenceNeedsADeployment(t *testing.T) {
	t.Parallel()
	c, err := redis.Open(redis.Options{URL: "redis://127.0.0.1:1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Presence.Load(t.Context(), []room.UserID{1}); err == nil {
		t.Error("loaded without keys")
	}
	if err := c.Presence.Save(t.Context(), map[room.UserID]event.Online{1: {}}); err == nil {
		t.Error("saved without keys")
	}
}
