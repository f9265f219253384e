package redis

import (
	"bytes"
	"context"
	_ "embed" // for the script
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/room"
)

//go:embed lua/save_position.lua
var savePositionSource string

var savePosition = goredis.NewScript(savePositionSource)

// Positions stores the last position of each sender in a room.
type Positions struct {
	client *Client
	ttl    time.Duration
}

// Save stores payload as the user's last position in the room. It replaces an earlier
// position, unless both have a recordedAt and that of the earlier one is later. A zero
// recordedAt means unknown.
//
// Save follows the contract of [Pipeline]. done gets nil also if a later position was
// kept. What is published after a Save is published after the position can be read.
func (p *Positions) Save(r room.Room, user room.UserID, payload []byte, recordedAt time.Time, done func(error)) {
	c := command{kind: set, name: p.key(r, user), payload: payload, done: done, ttl: p.ttl}
	if !recordedAt.IsZero() {
		c.kind, c.recorded = setIfNewer, recordedAt.UnixMicro()
	}
	p.client.Pipeline.submit(c)
}

// Last returns the last positions of the room's two sides, the customer's first. A side
// without a position is left out. Errors wrap [room.ErrUnavailable].
func (p *Positions) Last(ctx context.Context, r room.Room) ([][]byte, error) {
	ctx, cancel := p.client.withTimeout(ctx)
	defer cancel()
	values, err := p.client.redis.MGet(ctx, p.key(r, r.Customer), p.key(r, r.Therapist)).Result()
	if err != nil {
		return nil, p.client.unavailable(fmt.Sprintf("read positions of room %d %d", r.Customer, r.Therapist), err)
	}
	var last [][]byte
	for _, v := range values {
		s, ok := v.(string)
		if !ok {
			continue // this side has no position
		}
		_, payload, ok := bytes.Cut([]byte(s), []byte{':'})
		if !ok || s[0] != Version {
			p.client.metrics.unreadable.Inc() // of a newer replica: treated as missing
			continue
		}
		last = append(last, payload)
	}
	return last, nil
}

// key returns the key of a sender's position. The braces put both sides of a room into
// one slot of Redis Cluster, so that one MGET reads both.
func (p *Positions) key(r room.Room, user room.UserID) string {
	return p.client.prefix + "{" + r.Group("position") + "}:" + strconv.FormatInt(int64(user), 10)
}

// appendPosition appends a position in its stored form.
func appendPosition(dst []byte, c *command) []byte {
	dst = append(dst, Version)
	if c.kind == setIfNewer {
		dst = strconv.AppendInt(dst, c.recorded, 10)
	}
	return append(append(dst, ':'), c.payload...)
}
