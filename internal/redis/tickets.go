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

// maxTicket bounds a ticket that is looked up, in bytes; ours have 26.
const maxTicket = 64

// Tickets hands out tickets that stand for a token once. It has no state of its
// own.
type Tickets struct {
	prefix  string
	redis   goredis.UniversalClient
	metrics *metrics
}

// Issue makes a ticket for a user whose token was issued (zero if it does not say)
// and ends at the given times; it is good for life, but not longer than the token.
// An error wraps [room.ErrUnavailable].
func (t *Tickets) Issue(ctx context.Context, user room.UserID, issued, expires time.Time, life time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticket := rand.Text() // 130 bits
	life = max(time.Millisecond, min(life, time.Until(expires)))
	if err := t.redis.Set(ctx, t.key(ticket), appendTicket(user, issued, expires), life).Err(); err != nil {
		t.metrics.ticket("failed")
		return "", unavailable("keep a ticket", err)
	}
	t.metrics.ticket("issued")
	return ticket, nil
}

// Redeem returns what the ticket stands for, and forgets it: of two who come with
// one ticket, one gets it. One that is not known is [room.ErrNotFound]; other
// errors wrap [room.ErrUnavailable].
func (t *Tickets) Redeem(ctx context.Context, ticket string) (user room.UserID, issued, expires time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if len(ticket) > maxTicket {
		t.metrics.ticket("unknown")
		return 0, issued, expires, room.ErrNotFound
	}
	value, err := t.redis.GetDel(ctx, t.key(ticket)).Bytes()
	switch {
	case errors.Is(err, goredis.Nil):
		t.metrics.ticket("unknown")
		return 0, issued, expires, fmt.Errorf("redeem a ticket: %w", room.ErrNotFound)
	case err != nil:
		t.metrics.ticket("failed")
		return 0, issued, expires, unavailable("redeem a ticket", err)
	}
	user, issued, expires, ok := readTicket(value)
	if !ok || !time.Now().Before(expires) {
		t.metrics.ticket("unknown") // a newer replica's, perhaps: as good as none
		return 0, time.Time{}, time.Time{}, fmt.Errorf("redeem a ticket: %w", room.ErrNotFound)
	}
	t.metrics.ticket("redeemed")
	return user, issued, expires, nil
}

// key keeps the ticket itself out of Redis' log of slow commands, and of whoever
// may read there.
func (t *Tickets) key(ticket string) string {
	sum := sha256.Sum256([]byte(ticket))
	return t.prefix + "ticket:" + hex.EncodeToString(sum[:16])
}

// A ticket's value is the version, the user's id, and the times in Unix
// milliseconds, 0 for one that is not known; each 8 bytes, big endian.
const ticketSize = 25

func appendTicket(user room.UserID, issued, expires time.Time) []byte {
	b := make([]byte, 0, ticketSize)
	b = binary.BigEndian.AppendUint64(append(b, version), uint64(user))
	at := int64(0)
	if !issued.IsZero() {
		at = issued.UnixMilli()
	}
	b = binary.BigEndian.AppendUint64(b, uint64(at))
	return binary.BigEndian.AppendUint64(b, uint64(expires.UnixMilli()))
}

func readTicket(b []byte) (user room.UserID, issued, expires time.Time, ok bool) {
	if len(b) != ticketSize || b[0] != version {
		return 0, issued, expires, false
	}
	user = room.UserID(binary.BigEndian.Uint64(b[1:]))
	if at := int64(binary.BigEndian.Uint64(b[9:])); at != 0 {
		issued = time.UnixMilli(at).UTC()
	}
	return user, issued, time.UnixMilli(int64(binary.BigEndian.Uint64(b[17:]))).UTC(), user >= 1 && user <= room.MaxID
}
