package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
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
// accounts.
type LoginLimits struct {
	Address        int // from one client address; for IPv6 from one /64
	AccountAddress int // to one account from one address
	Account        int // to one account from all addresses
}

// loginBuckets names the buckets of a sign-in in the order in which they are taken.
var loginBuckets = []string{"account_address", "account", "address"}

func (l LoginLimits) perMinute() []int { return []int{l.AccountAddress, l.Account, l.Address} }

// buckets returns the keys of the buckets of one attempt. The account is the identifier as it was
// sent, whether it exists or not, so that the throttle does not reveal which accounts exist.
func (l *login) buckets(remote, identifier string) []string {
	address := l.o.Keys.Pseudonym("login address", logging.Network(remote))
	account := l.o.Keys.Pseudonym("login account", strings.ToLower(identifier))
	return []string{"login:" + account + ":" + address, "login:" + account, "login:" + address}
}

// takeAttempt counts the attempt and returns a failure if there were too many.
func (l *login) takeAttempt(e *exchange, buckets []string) *failure {
	if l.o.Throttle == nil {
		return nil
	}
	full, wait, err := l.o.Throttle.Take(e.r.Context(), buckets, l.o.Limits.perMinute())
	if err != nil {
		return redisUnavailable(err)
	}
	if full < 0 {
		return nil
	}
	l.throttled.WithLabelValues(loginBuckets[full]).Inc()
	return tooManyAttempts(loginBuckets[full], wait, "Too many attempts to sign in; try again after the time in Retry-After.")
}

// refundAttempt does not count an attempt that was successful or could not be checked.
func (l *login) refundAttempt(e *exchange, buckets []string) {
	if l.o.Throttle == nil {
		return
	}
	ctx := context.WithoutCancel(e.r.Context()) // Give has its own timeout
	_ = l.o.Throttle.Give(ctx, buckets, l.o.Limits.perMinute())
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
	return &failure{cause: "channel_layer_unavailable", err: err, Problem: problem.Problem{
		Status: http.StatusServiceUnavailable, Code: "channel_layer_unavailable", RetryAfter: 5 * time.Second,
		Detail: "Redis is unavailable; try again after the time in Retry-After.",
	}}
}
