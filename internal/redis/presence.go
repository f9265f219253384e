package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// presenceTTL is how long Redis remembers when a user was last online.
const presenceTTL = 7 * 24 * time.Hour

// Presence stores on which replicas users are online. It sends all commands of a call
// together.
type Presence struct{ client *Client }

// Load returns the entries of users. A user without an entry, or with one that cannot be
// opened, is left out. Errors wrap [room.ErrUnavailable].
func (p *Presence) Load(ctx context.Context, users []room.UserID) (map[room.UserID]event.Online, error) {
	const attempt = "read presence"
	ctx, cancel := p.client.withTimeout(ctx)
	defer cancel()
	ring, err := p.client.ring(attempt)
	if err != nil {
		return nil, err
	}
	keys := map[string][]string{} // by the beginning that decides about the slot of Redis Cluster
	ids := make(map[string]room.UserID, len(users))
	for _, u := range users {
		key := p.key(ring, u)
		slot := ""
		if p.client.isCluster() {
			slot, _, _ = strings.Cut(key, "}")
		}
		keys[slot], ids[key] = append(keys[slot], key), u
	}
	replies := make(map[string]*goredis.SliceCmd, len(keys))
	_, err = p.client.redis.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for slot, list := range keys {
			replies[slot] = pipe.MGet(ctx, list...)
		}
		return nil
	})
	if err != nil {
		return nil, p.client.unavailable(attempt, err)
	}
	entries := make(map[room.UserID]event.Online, len(users))
	var sealed []byte
	for slot, reply := range replies {
		for i, value := range reply.Val() {
			text, ok := value.(string)
			if key := keys[slot][i]; ok {
				sealed = append(sealed[:0], text...)
				if o, ok := p.open(ring, key, sealed); ok {
					entries[ids[key]] = o
				}
			}
		}
	}
	return entries, nil
}

// open opens an entry in place.
func (p *Presence) open(ring *event.Ring, key string, sealed []byte) (o event.Online, ok bool) {
	e, err := p.client.Open(ring, key, sealed, presenceTTL)
	if err != nil || e.Kind != event.KindOnline {
		return o, false
	}
	o, err = event.ReadOnline(e.Body)
	return o, err == nil
}

// Save stores entries. Errors wrap [room.ErrUnavailable]; some of the entries may be stored
// nevertheless.
func (p *Presence) Save(ctx context.Context, entries map[room.UserID]event.Online) error {
	const attempt = "write presence"
	ctx, cancel := p.client.withTimeout(ctx)
	defer cancel()
	ring, err := p.client.ring(attempt)
	if err != nil {
		return err
	}
	now := time.Now()
	_, err = p.client.redis.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for u, o := range entries {
			key := p.key(ring, u)
			pipe.Set(ctx, key, ring.Seal(nil, key, now, o), presenceTTL)
		}
		return nil
	})
	if err != nil {
		return p.client.unavailable(attempt, err)
	}
	return nil
}

func (p *Presence) key(ring *event.Ring, user room.UserID) string {
	return p.client.name(&ring.Deployment, "online_"+strconv.FormatInt(int64(user), 10), "")
}
