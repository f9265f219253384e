package listen

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// The rate at which one client network may cause refusals and handshakes without a token. A good
// client causes one now and then, but thousands may share an IPv4 address. Beyond it each answer
// is held back, up to maxPause, so that a program that asks again and again costs little. A request
// with a valid token that is not refused never waits, whatever others behind the same address do.
const (
	anonymousPeriod = time.Second / 100 // of handshakes without a token
	refusalPeriod   = time.Second / 20
	strangerBurst   = 20 * time.Second // may be used at once: 2,000 handshakes, or 400 refusals
	maxPause        = 3 * time.Second  // shorter than the grace of a connection that is served

	maxNetworks = 8192        // that are remembered
	sweepEvery  = time.Second // at most, because it looks at all of them
)

// strangers holds a token bucket for each client network, as the time at which it is full again
// (the generic cell rate algorithm of ITU-T I.371). It forgets full buckets when it needs room,
// and does not slow down a network for which it finds none. It is safe for concurrent use.
type strangers struct {
	mu    sync.Mutex
	full  map[netip.Prefix]time.Time
	swept time.Time
}

// SlowDownRefusal counts a refusal by the address that [ClientAddr] returns. If the client's
// network causes too many, it waits for its turn, but not long. It returns an error if ctx ends
// meanwhile.
func (l *Limits) SlowDownRefusal(ctx context.Context, remote string) error {
	return l.slowDown(ctx, remote, refusalPeriod)
}

// SlowDownAnonymous is SlowDownRefusal for a handshake that needs no token.
func (l *Limits) SlowDownAnonymous(ctx context.Context, remote string) error {
	return l.slowDown(ctx, remote, anonymousPeriod)
}

func (l *Limits) slowDown(ctx context.Context, remote string, period time.Duration) error {
	a, ok := l.client(remote)
	if !ok || l.share >= 1 {
		return nil
	}
	wait := l.strangers.take(network(a), time.Now(), period)
	if wait <= 0 {
		return nil
	}
	l.metrics.slowed.Inc()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("hold back an answer: %w", ctx.Err())
	}
}

// Slow reports whether the client's network causes so many refusals that the next one waits.
func (l *Limits) Slow(remote string) bool {
	a, ok := l.client(remote)
	if !ok || l.share >= 1 {
		return false
	}
	l.strangers.mu.Lock()
	defer l.strangers.mu.Unlock()
	return time.Until(l.strangers.full[network(a)]) > strangerBurst
}

// take takes so much of the bucket of a network, and returns the time until it is there. A bucket
// that lends for maxPause lends no more.
func (s *strangers) take(n netip.Prefix, now time.Time, period time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	full, known := s.full[n]
	if !known && len(s.full) >= maxNetworks && !s.sweep(now) {
		return 0
	}
	if full.Before(now) {
		full = now
	}
	wait := full.Sub(now) - strangerBurst
	if wait >= maxPause {
		return maxPause
	}
	s.full[n] = full.Add(period)
	return wait
}

// sweep forgets full buckets, and reports whether there is room.
func (s *strangers) sweep(now time.Time) bool {
	if now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		for n, full := range s.full {
			if !full.After(now) {
				delete(s.full, n)
			}
		}
	}
	return len(s.full) < maxNetworks
}

// slowDownRefusals returns a handler that holds back the answers of next that refuse a request,
// and those to preflight requests, which carry no token. An answer that is not flushed leaves
// when the handler returns; by then the request holds nothing else.
func (l *Limits) slowDownRefusals(trusted []netip.Prefix, next http.Handler) http.Handler {
	if l.share >= 1 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := statusWriter{ResponseWriter: w}
		next.ServeHTTP(&s, r)
		if s.status >= http.StatusBadRequest || r.Method == http.MethodOptions {
			_ = l.SlowDownRefusal(r.Context(), ClientAddr(r, trusted)) // nobody reads the answer to a client that has left
		}
	})
}

// A statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
