package redis

import (
	"bytes"
	"context"
	_ "embed" // for the script
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/event"
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

// Save stores the last position of a user in the room. It replaces an earlier position,
// unless both have a time of recording and that of the earlier one is later.
//
// Save follows the contract of [Pipeline]. done gets nil also if a later position was
// kept. What is published after a Save is published after the position can be read.
func (p *Positions) Save(r room.Room, position event.Position, done func(error)) {
	ring := p.client.Ring()
	if ring == nil {
		p.client.Pipeline.refuse(&command{kind: set, name: "a position", done: done}, errNoDeployment)
		return
	}
	key := p.key(ring, r, position.User)
	c := command{kind: set, name: key, payload: ring.Seal(nil, key, time.Now(), position), done: done, ttl: p.ttl}
	if position.Recorded != 0 {
		c.kind, c.recorded = setIfNewer, position.Recorded
	}
	p.client.Pipeline.submit(c)
}

// Last returns the last positions of the room's two sides, the customer's first. A side
// without a position is left out, and so is a position that cannot be opened or is older
// than the TTL. Errors wrap [room.ErrUnavailable].
func (p *Positions) Last(ctx context.Context, r room.Room) ([]event.Event, error) {
	ctx, cancel := p.client.withTimeout(ctx)
	defer cancel()
	attempt := fmt.Sprintf("read positions of room %d %d", r.Customer, r.Therapist)
	ring, err := p.client.ring(attempt)
	if err != nil {
		return nil, err
	}
	keys := []string{p.key(ring, r, r.Customer), p.key(ring, r, r.Therapist)}
	values, err := p.client.redis.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, p.client.unavailable(attempt, err)
	}
	var last []event.Event
	for i, v := range values {
		text, ok := v.(string)
		if !ok {
			continue // this side has no position
		}
		_, sealed, _ := bytes.Cut([]byte(text), []byte{':'})
		if e, err := p.client.Open(ring, keys[i], sealed, p.ttl); err == nil && e.Kind == event.KindPosition {
			last = append(last, e)
		}
	}
	return last, nil
}

// key returns the key of a sender's position. The group puts both sides of a room into one
// slot of Redis Cluster, so that one MGET reads both.
func (p *Positions) key(ring *event.Ring, r room.Room, user room.UserID) string {
	return p.client.name(&ring.Deployment, r.Group("position"), ":"+strconv.FormatInt(int64(user), 10))
}

// appendPosition appends a position in its stored form: the time of recording, which the
// script compares, a colon and the sealed event. The time is for the script alone: readers
// use the one in the event.
func appendPosition(dst []byte, c *command) []byte {
	if c.kind == setIfNewer {
		dst = strconv.AppendInt(dst, c.recorded, 10)
	}
	return append(append(dst, ':'), c.payload...)
}
