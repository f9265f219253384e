package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// mark precedes a sealed position in Redis. Earlier builds put the time of recording before it.
const mark = ":"

// reported ends the key of what a user sent by HTTP.
const reported = ":http"

// Positions stores the last position of each sender in a room.
type Positions struct {
	client *Client
	ttl    time.Duration
}

// reportedTTL is how long the time of the last position that a user sent by HTTP is kept.
const reportedTTL = 24 * time.Hour

// Save stores the last position of a user in the room. It replaces the one before.
//
// Save follows the contract of [Pipeline]. What is published after a Save is published
// after the position can be read.
func (p *Positions) Save(r room.Room, position event.Position, done func(error)) {
	p.save(r, position, "", p.ttl, done)
}

// SaveReported stores when the last position was recorded that a user sent to the room by HTTP; the
// zero time if that is not known. It follows the contract of [Pipeline].
func (p *Positions) SaveReported(r room.Room, user room.UserID, recorded time.Time, done func(error)) {
	position := event.Position{User: user, Frame: []byte("{}")}
	if !recorded.IsZero() {
		position.Recorded = recorded.UnixMilli()
	}
	p.save(r, position, reported, reportedTTL, done)
}

func (p *Positions) save(r room.Room, position event.Position, suffix string, ttl time.Duration, done func(error)) {
	pipeline, ring := p.client.Pipelines[p.client.ShardOf(r.Group("location"))], p.client.Ring()
	if ring == nil {
		pipeline.refuse(&command{kind: set, name: "a position", done: done}, errNoDeployment)
		return
	}
	key := p.key(ring, r, position.User) + suffix
	sealed := ring.Seal([]byte(mark), key, time.Now(), position)
	pipeline.submit(command{kind: set, name: key, payload: sealed, done: done, ttl: ttl})
}

// Reported returns what [Positions.SaveReported] has stored, or the zero time. Errors wrap
// [room.ErrUnavailable].
func (p *Positions) Reported(ctx context.Context, r room.Room, user room.UserID) (recorded time.Time, err error) {
	ctx, cancel := p.client.withTimeout(ctx)
	defer cancel()
	attempt := fmt.Sprintf("read what user %d reported to room %d %d", user, r.Customer, r.Therapist)
	ring, err := p.client.ring(attempt)
	if err != nil {
		return recorded, err
	}
	key := p.key(ring, r, user) + reported
	values, err := p.client.redis.MGet(ctx, key).Result()
	if err != nil {
		return recorded, p.client.unavailable(attempt, err)
	}
	text, _ := values[0].(string)
	_, sealed, _ := strings.Cut(text, mark)
	e, err := p.client.Open(ring, key, []byte(sealed), reportedTTL)
	if err != nil || e.Kind != event.KindPosition {
		return recorded, nil //nolint:nilerr // there is none, or it is nobody's
	}
	if position, err := event.ReadPosition(e.Body); err == nil && position.Recorded != 0 {
		recorded = time.UnixMilli(position.Recorded)
	}
	return recorded, nil
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
		_, sealed, _ := strings.Cut(text, mark)
		if e, err := p.client.Open(ring, keys[i], []byte(sealed), p.ttl); err == nil && e.Kind == event.KindPosition {
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
