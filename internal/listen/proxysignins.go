package listen

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
)

const (
	// fewThrottled is the number of refused sign-ins from one address that count as a finding.
	fewThrottled          = 3
	trustedProxiesMissing = "trusted_proxies_missing" // word of package cause
)

// sharedSpace are the addresses between clients and proxies of one provider (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// signIns are the sign-ins of a window.
type signIns struct {
	other     int // not from an address that sends X-Forwarded-For and is not trusted
	forwarded map[netip.Addr]*tally
}

// A tally counts the sign-ins from an address.
type tally struct{ all, throttled int }

// AddSignIn records a sign-in, and whether the limits refused it. When nearly all sign-ins come
// from one private address that sends X-Forwarded-For and is not trusted, and the limits refuse
// some, a proxy is missing in the list: all users share one limit. Anybody can send that header,
// but clients on the internet have no private address.
func (w *ProxyWatch) AddSignIn(r *http.Request, throttled bool, now time.Time) {
	addr, is := w.untrusted(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn(now)
	s := &w.signIns
	if !is || !addr.IsPrivate() && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && !sharedSpace.Contains(addr) {
		s.other++
		return
	}
	f := s.forwarded[addr]
	if f == nil {
		if len(s.forwarded) >= maxProxies {
			return
		}
		if s.forwarded == nil {
			s.forwarded = map[netip.Addr]*tally{}
		}
		f = &tally{}
		s.forwarded[addr] = f
	}
	if f.all++; throttled {
		f.throttled++
	}
	if err := w.throttledProxy(); err != nil && now.Sub(w.loggedThrottled) >= proxyLogEvery {
		w.loggedThrottled = now
		logging.Component(w.log, slog.LevelWarn, "Proxies", "Trusted proxies missing: "+err.Error(), slog.String("cause", trustedProxiesMissing))
	}
}

// throttledProxy returns the finding about the sign-ins of the window, or nil. The caller holds
// the mutex.
func (w *ProxyWatch) throttledProxy() error {
	total := w.signIns.other
	for _, f := range w.signIns.forwarded {
		total += f.all
	}
	for addr, f := range w.signIns.forwarded {
		if f.throttled >= fewThrottled && f.all >= proxyShare*(total-f.all) {
			return &throttledError{addr, *f}
		}
	}
	return nil
}

// A throttledError says that sign-ins through a proxy that is not trusted share one limit.
type throttledError struct {
	addr netip.Addr
	seen tally
}

func (e *throttledError) Error() string {
	return fmt.Sprintf("of the last %d sign-ins from %s the limits refused %d; that address sends X-Forwarded-For, so it is a proxy, but --trusted-proxies does not contain it: all users share its limits",
		e.seen.all, e.addr, e.seen.throttled)
}

// Cause returns the word of package cause.
func (*throttledError) Cause() string { return trustedProxiesMissing }
