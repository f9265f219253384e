package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

// Throttle counts attempts across replicas, in buckets that have room for so many
// at once and for so many a minute after that. Its errors wrap
// [room.ErrUnavailable].
type Throttle interface {
	// Take counts an attempt against each bucket, or against none where one of them
	// is full: then it returns which, and for how long. Otherwise full is -1.
	Take(ctx context.Context, buckets []string, perMinute []int) (full int, wait time.Duration, err error)
	// Give takes back what Take has counted.
	Give(ctx context.Context, buckets []string, perMinute []int) error
}

// LoginLimits is how many wrong sign-ins a minute there may be. Right ones do not
// count.
//
// What keeps an attacker from trying passwords is AccountAddress. It says nothing
// about the account from elsewhere, so its owner signs in while an attacker goes on.
// Account bounds what many addresses may try together, and is so large that a few
// cannot lock the owner out. Address bounds who tries many accounts.
type LoginLimits struct {
	Address        int // from one client address, an IPv6 one with its /64
	AccountAddress int // to one account from one address
	Account        int // to one account from everywhere
}

// The buckets of a sign-in, in the order in which they are taken.
var loginBuckets = []string{"account_address", "account", "address"}

func (l LoginLimits) perMinute() []int { return []int{l.AccountAddress, l.Account, l.Address} }

// buckets names those of one attempt. An account is known by what was typed,
// whether or not it exists, so the throttle tells nobody which do.
func (l *Login) buckets(remote, identifier string) []string {
	address := l.o.Keys.Pseudonym("login address", network(remote))
	account := l.o.Keys.Pseudonym("login account", strings.ToLower(identifier))
	return []string{"login:" + account + ":" + address, "login:" + account, "login:" + address}
}

// network is the part of a client's address that is one client's: of IPv6 the
// first 64 bits, which a household or a server has for itself.
func network(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		with, err := netip.ParseAddrPort(remote)
		if err != nil {
			return remote
		}
		addr = with.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		prefix, err := addr.Prefix(64)
		if err != nil {
			return addr.String()
		}
		addr = prefix.Addr()
	}
	return addr.String()
}

// throttled counts the attempt, and refuses it where there were too many.
func (l *Login) throttled(e *exchange, buckets []string) *refusal {
	if l.o.Throttle == nil {
		return nil
	}
	full, wait, err := l.o.Throttle.Take(e.r.Context(), buckets, l.o.Limits.perMinute())
	if err != nil {
		return redisAway(err)
	}
	if full < 0 {
		return nil
	}
	l.full.WithLabelValues(loginBuckets[full]).Inc()
	return tooMany(loginBuckets[full], wait, "Too many attempts to sign in; try again after the time in Retry-After.")
}

// forgive takes an attempt back that was right, or that nobody could judge. The
// client need not wait for it.
func (l *Login) forgive(e *exchange, buckets []string) {
	if l.o.Throttle == nil {
		return
	}
	ctx := context.WithoutCancel(e.r.Context()) // Give has a time limit of its own
	_ = l.o.Throttle.Give(ctx, buckets, l.o.Limits.perMinute())
}

// tooMany does not tell the client which bucket is full.
func tooMany(bucket string, wait time.Duration, detail string) *refusal {
	return &refusal{cause: "too_many_attempts " + bucket, Problem: problem.Problem{
		Status: http.StatusTooManyRequests, Code: "too_many_attempts", RetryAfter: max(wait, time.Second), Detail: detail,
	}}
}

// redisAway is the answer where Redis cannot count or keep: guessing without being
// counted must not be possible.
func redisAway(err error) *refusal {
	if !errors.Is(err, room.ErrUnavailable) {
		return internal(err)
	}
	return &refusal{cause: "channel_layer_unavailable", err: err, Problem: problem.Problem{
		Status: http.StatusServiceUnavailable, Code: "channel_layer_unavailable", RetryAfter: 5 * time.Second,
		Detail: "Redis, which this needs, cannot be reached now; try again after the time in Retry-After.",
	}}
}
