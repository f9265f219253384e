package listen

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/bucket"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/story"
)

// The rate at which one client network may cause refused requests, and refused or anonymous
// handshakes. A good client causes one now and then, but thousands may share an IPv4 address.
const (
	strangerPeriod = time.Second / 20
	strangerBurst  = 200

	maxNetworks = 8192        // that are remembered
	sweepEvery  = time.Second // at most, because it looks at all of them
)

// strangers holds the buckets of client networks. It forgets full buckets when it needs room,
// and does not limit a network for which it finds none. It is safe for concurrent use.
type strangers struct {
	mu      sync.Mutex
	buckets map[netip.Prefix]bucket.Bucket
	swept   time.Time
}

// Charge counts a request or a handshake of a client that has shown no valid token, by the
// address that [ClientAddr] returns. A network that causes too many is refused as a whole
// until its rate has fallen: direct clients when they connect, those behind a trusted proxy at
// each request.
func (l *Limits) Charge(remote string) {
	a, ok := parse(remote)
	if l == nil || l.share >= 1 || !ok {
		return
	}
	n, now, s := network(a), time.Now(), &l.strangers
	s.mu.Lock()
	defer s.mu.Unlock()
	b, known := s.buckets[n]
	if !known && len(s.buckets) >= maxNetworks && !s.sweep(now) {
		return
	}
	s.buckets[n], _ = b.Take(now, strangerPeriod, strangerBurst)
}

// sweep forgets full buckets, and reports whether there is room.
func (s *strangers) sweep(now time.Time) bool {
	if now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		for n, b := range s.buckets {
			if b.Full(now) {
				delete(s.buckets, n)
			}
		}
	}
	return len(s.buckets) < maxNetworks
}

// exhausted reports whether a network has caused too many refusals.
func (l *Limits) exhausted(n netip.Prefix) bool {
	s := &l.strangers
	s.mu.Lock()
	b := s.buckets[n]
	s.mu.Unlock()
	_, wait := b.Take(time.Now(), strangerPeriod, strangerBurst)
	return wait > 0
}

// guard returns a handler that refuses requests of exhausted networks, and passes others to
// next. A direct client loses its connection; that of a trusted proxy carries requests of
// others.
func (l *Limits) guard(trusted []netip.Prefix, next http.Handler) http.Handler {
	if l.share >= 1 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		remote := ClientAddr(r, trusted)
		if r.Method == http.MethodOptions { // carries no token
			l.Charge(remote)
		}
		a, ok := parse(remote)
		if n := network(a); ok && l.exhausted(n) {
			l.refused(reasonStrangers, n, 0, 0)
			if remote == r.RemoteAddr {
				w.Header().Set("Connection", "close")
			}
			problem.Problem{
				Status: http.StatusServiceUnavailable, Code: "unavailable", Title: "Try again", Detail: refusalDetails[reasonStrangers],
				Ref: story.NewRef(), RetryAfter: 5 * time.Second,
			}.Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}
