package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

// A Throttle counts attempts across replicas in token buckets, which hold perMinute tokens and
// regain as many per minute. Its errors wrap [room.ErrUnavailable].
type Throttle interface {
	// Take takes a token from each bucket and returns -1. If a bucket is empty it takes none
	// and returns the index of the bucket and the time until it has a token.
	Take(ctx context.Context, buckets []string, perMinute []int) (full int, wait time.Duration, err error)
	// Give returns the tokens that Take has taken.
	Give(ctx context.Context, buckets []string, perMinute []int) error
}

// LoginLimits are the limits of failed sign-ins per minute.
//
// AccountAddress stops an attacker who tries passwords of an account, without locking out its
// owner at another address. Account limits attacks from many addresses; it should be large
// enough that a few of them cannot lock the owner out. Address limits attackers who try many
// accounts. The /56 and /48 of an IPv6 address have multiples of its limits. A client that has
// signed in to the account from its address before is limited by AccountAddress only: attacks
// from elsewhere do not lock it out.
type LoginLimits struct {
	Address        int // from one client address; for IPv6 from one /64
	AccountAddress int // to one account from one address
	Account        int // to one account from all addresses
}

// The limits of IPv6 networks, as multiples of the limits of a /64.
const (
	per56        = 4
	per48        = 16
	perAccount48 = 4
)

// count returns the buckets of an attempt in the order in which they are taken.
func (l LoginLimits) count(a *attempt) []bucket {
	if len(a.networks) == 0 { // an address that many clients share must not lock all of them out
		return []bucket{{"login:" + a.account, l.Account, "account"}}
	}
	address := a.networks[0]
	buckets := []bucket{{"login:" + a.account + ":" + address, l.AccountAddress, "account_address"}}
	if a.client.Known {
		return buckets
	}
	buckets = append(buckets, bucket{"login:" + a.account, l.Account, "account"}, bucket{"login:" + address, l.Address, "address"})
	if len(a.networks) == 1 {
		return buckets
	}
	in56, in48 := a.networks[1], a.networks[2]
	return append(buckets,
		bucket{"login:" + a.account + ":" + in48, perAccount48 * l.AccountAddress, "account_network"},
		bucket{"login:" + in56, per56 * l.Address, "network"}, bucket{"login:" + in48, per48 * l.Address, "network"})
}

func (a *attempt) limits() (names []string, perMinute []int) {
	for _, b := range a.buckets {
		names, perMinute = append(names, b.name), append(perMinute, b.perMinute)
	}
	return names, perMinute
}

// takeAttempt counts the attempt and returns a failure if there were too many.
func (l *login) takeAttempt(e *exchange, a *attempt) *failure {
	if l.o.Throttle == nil {
		return nil
	}
	a.buckets = l.o.Limits.count(a)
	names, perMinute := a.limits()
	e.step("count an attempt")
	full, wait, err := l.o.Throttle.Take(e.r.Context(), names, perMinute)
	if err != nil {
		return redisUnavailable(err)
	}
	if full < 0 {
		return nil
	}
	limit := a.buckets[full].limit
	l.throttled.WithLabelValues(limit).Inc()
	return tooManyAttempts(limit, wait, "Too many attempts to sign in; try again after the time in Retry-After.")
}

// refundAttempt does not count an attempt that was successful or could not be checked.
func (l *login) refundAttempt(e *exchange, a *attempt) {
	if l.o.Throttle == nil {
		return
	}
	ctx := context.WithoutCancel(e.r.Context()) // Give has its own timeout
	names, perMinute := a.limits()
	_ = l.o.Throttle.Give(ctx, names, perMinute)
}

// tooManyAttempts tells the log which bucket is empty, but not the client.
func tooManyAttempts(bucket string, wait time.Duration, detail string) *failure {
	return &failure{cause: "too_many_attempts " + bucket, Problem: problem.Problem{
		Status: http.StatusTooManyRequests, Code: "too_many_attempts", RetryAfter: max(wait, time.Second), Detail: detail,
	}}
}

// redisUnavailable returns the failure for an error of Redis. Sign-ins fail without Redis, because
// passwords must not be guessed without being counted.
func redisUnavailable(err error) *failure {
	if !errors.Is(err, room.ErrUnavailable) {
		return internalFailure(err)
	}
	detail := "Redis is unavailable; try again after the time in Retry-After."
	if cause.IsRefusal(err) {
		detail = "Redis refuses what this needs."
	}
	return &failure{cause: "channel_layer_unavailable", err: err, Problem: problem.Problem{
		Status: http.StatusServiceUnavailable, Code: "channel_layer_unavailable", RetryAfter: 5 * time.Second,
		Detail: cause.Describe(err, detail), More: causeMember(err),
	}}
}
