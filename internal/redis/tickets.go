package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// maxTicket is the maximum length of a ticket in bytes. Issued ones have 26.
const maxTicket = 64

// Tickets issues tickets, each of which replaces a token once.
type Tickets struct{ client *Client }

// Issue returns a ticket for a user. issued (zero if unknown) and expires are those of
// the user's token. The ticket expires after life, but not later than the token. Errors
// wrap [room.ErrUnavailable].
func (t *Tickets) Issue(ctx context.Context, user room.UserID, issued, expires time.Time, life time.Duration) (string, error) {
	const attempt = "keep a ticket"
	ctx, cancel := t.client.withTimeout(ctx)
	defer cancel()
	ring, err := t.client.ring(attempt)
	if err != nil {
		t.count("failed")
		return "", err
	}
	ticket := rand.Text() // 130 bits
	now := time.Now()
	life = max(time.Millisecond, min(life, expires.Sub(now)))
	key := t.key(ring, ticket)
	value := ring.Seal(nil, key, now, event.Ticket{User: user, Issued: issued, Expires: expires, Ends: now.Add(life)})
	if err := t.client.redis.Set(ctx, key, value, life).Err(); err != nil {
		t.count("failed")
		return "", t.client.unavailable(attempt, err)
	}
	t.count("issued")
	return ticket, nil
}

// Redeem returns what a ticket was issued for, and deletes it: of concurrent calls with
// one ticket, one succeeds. For an unknown ticket the error is [room.ErrNotFound]; other
// errors wrap [room.ErrUnavailable].
//
// The value holds the end of the ticket, so one that somebody puts back is good until then
// at most.
func (t *Tickets) Redeem(ctx context.Context, ticket string) (user room.UserID, issued, expires time.Time, err error) {
	const attempt = "redeem a ticket"
	ctx, cancel := t.client.withTimeout(ctx)
	defer cancel()
	unknown := func() (room.UserID, time.Time, time.Time, error) {
		t.count("unknown")
		return 0, time.Time{}, time.Time{}, fmt.Errorf("%s: %w", attempt, room.ErrNotFound)
	}
	if len(ticket) > maxTicket {
		return unknown()
	}
	ring, err := t.client.ring(attempt)
	if err != nil {
		t.count("failed")
		return 0, issued, expires, err
	}
	key := t.key(ring, ticket)
	value, err := t.client.redis.GetDel(ctx, key).Bytes()
	switch {
	case errors.Is(err, goredis.Nil):
		return unknown()
	case err != nil:
		t.count("failed")
		return 0, issued, expires, t.client.unavailable(attempt, err)
	}
	e, err := t.client.Open(ring, key, value, 0)
	if err != nil || e.Kind != event.KindTicket {
		return unknown()
	}
	is, err := event.Read[event.Ticket](e.Body)
	if now := time.Now(); err != nil || !now.Before(is.Expires) || !now.Before(is.Ends) || is.User < 1 || is.User > room.MaxID {
		return unknown()
	}
	t.count("redeemed")
	return is.User, is.Issued.UTC(), is.Expires.UTC(), nil
}

func (t *Tickets) count(outcome string) { t.client.metrics.tickets.WithLabelValues(outcome).Inc() }

// key returns the key of a ticket. It holds a hash, so that the slow log and users of
// Redis do not see tickets.
func (t *Tickets) key(ring *event.Ring, ticket string) string {
	sum := sha256.Sum256([]byte(ticket))
	return t.client.name(&ring.Deployment, "ticket:"+hex.EncodeToString(sum[:16]), "")
}
