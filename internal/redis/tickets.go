package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

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
	ctx, cancel := t.client.withTimeout(ctx)
	defer cancel()
	ticket := rand.Text() // 130 bits
	life = max(time.Millisecond, min(life, time.Until(expires)))
	if err := t.client.redis.Set(ctx, t.key(ticket), appendTicket(user, issued, expires), life).Err(); err != nil {
		t.count("failed")
		return "", t.client.unavailable("keep a ticket", err)
	}
	t.count("issued")
	return ticket, nil
}

// Redeem returns what a ticket was issued for, and deletes it: of concurrent calls with
// one ticket, one succeeds. For an unknown ticket the error is [room.ErrNotFound]; other
// errors wrap [room.ErrUnavailable].
func (t *Tickets) Redeem(ctx context.Context, ticket string) (user room.UserID, issued, expires time.Time, err error) {
	ctx, cancel := t.client.withTimeout(ctx)
	defer cancel()
	if len(ticket) > maxTicket {
		t.count("unknown")
		return 0, issued, expires, room.ErrNotFound
	}
	value, err := t.client.redis.GetDel(ctx, t.key(ticket)).Bytes()
	switch {
	case errors.Is(err, goredis.Nil):
		t.count("unknown")
		return 0, issued, expires, fmt.Errorf("redeem a ticket: %w", room.ErrNotFound)
	case err != nil:
		t.count("failed")
		return 0, issued, expires, t.client.unavailable("redeem a ticket", err)
	}
	user, issued, expires, ok := readTicket(value)
	if !ok || !time.Now().Before(expires) {
		t.count("unknown") // perhaps of a newer replica: treated as missing
		return 0, time.Time{}, time.Time{}, fmt.Errorf("redeem a ticket: %w", room.ErrNotFound)
	}
	t.count("redeemed")
	return user, issued, expires, nil
}

func (t *Tickets) count(outcome string) { t.client.metrics.tickets.WithLabelValues(outcome).Inc() }

// key returns the key of a ticket. It holds a hash, so that the slow log and users of
// Redis do not see tickets.
func (t *Tickets) key(ticket string) string {
	sum := sha256.Sum256([]byte(ticket))
	return t.client.prefix + "ticket:" + hex.EncodeToString(sum[:16])
}

// The value of a ticket is the version, the user's id, and the times when the token was
// issued (0 if unknown) and expires, in Unix milliseconds; 8 bytes each, big endian.
const ticketSize = 25

func appendTicket(user room.UserID, issued, expires time.Time) []byte {
	b := make([]byte, 0, ticketSize)
	b = binary.BigEndian.AppendUint64(append(b, Version), uint64(user))
	at := int64(0)
	if !issued.IsZero() {
		at = issued.UnixMilli()
	}
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	return binary.BigEndian.AppendUint64(b, uint64(expires.UnixMilli()))
}

func readTicket(b []byte) (user room.UserID, issued, expires time.Time, ok bool) {
	if len(b) != ticketSize || b[0] != Version {
		return 0, issued, expires, false
	}
	user = room.UserID(binary.BigEndian.Uint64(b[1:]))
	if at := int64(binary.BigEndian.Uint64(b[9:])); at != 0 {
		issued = time.UnixMilli(at).UTC()
	}
	return user, issued, time.UnixMilli(int64(binary.BigEndian.Uint64(b[17:]))).UTC(), user >= 1 && user <= room.MaxID
}
