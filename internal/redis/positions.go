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

// Positions keeps the last position of each sender of a room. It has no state of
// its own.
type Positions struct {
	prefix    string
	ttl       time.Duration
	redis     goredis.UniversalClient
	publisher *publisher
	metrics   *metrics
}

// Save keeps payload as the user's last position in the room. What arrives later
// is newer, unless both say when they were recorded and the later one's is
// older: then the older one stays. A zero recordedAt says nothing.
//
// Save neither blocks nor copies payload, which must not change any more. done
// is called once, as by [Layer.Publish], also where an older position was
// rightly left out. What is published after a Save is published after the
// position can be read.
func (p *Positions) Save(r room.Room, user room.UserID, payload []byte, recordedAt time.Time, done func(error)) {
	o := op{kind: set, name: p.key(r, user), payload: payload, done: done, ttl: p.ttl}
	if !recordedAt.IsZero() {
		o.kind, o.recorded = setIfNewer, recordedAt.UnixMicro()
	}
	p.publisher.submit(o)
}

// Last returns the last positions of the room's two sides, those that there are,
// the customer's first. An error wraps [room.ErrUnavailable].
func (p *Positions) Last(ctx context.Context, r room.Room) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	values, err := p.redis.MGet(ctx, p.key(r, r.Customer), p.key(r, r.Therapist)).Result()
	if err != nil {
		return nil, unavailable(fmt.Sprintf("read positions of room %d %d", r.Customer, r.Therapist), err)
	}
	var last [][]byte
	for _, v := range values {
		s, ok := v.(string)
		if !ok {
			continue // a side that has none
		}
		_, payload, ok := bytes.Cut([]byte(s), []byte{':'})
		if !ok || s[0] != version {
			p.metrics.unreadable.Inc() // a newer replica's: as good as none
			continue
		}
		last = append(last, payload)
	}
	return last, nil
}

// key names a sender's position. The braces put both sides of a room into one
// slot of Redis Cluster, so that one MGET reads them.
func (p *Positions) key(r room.Room, user room.UserID) string {
	return p.prefix + "{" + r.Group("position") + "}:" + strconv.FormatInt(int64(user), 10)
}

// appendPosition appends a position as it is stored.
func appendPosition(dst []byte, o *op) []byte {
	dst = append(dst, version)
	if o.kind == setIfNewer {
		dst = strconv.AppendInt(dst, o.recorded, 10)
	}
	return append(append(dst, ':'), o.payload...)
}
