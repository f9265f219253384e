package listen

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
)

const (
	proxyWindow    = 10 * time.Minute // in which handshakes are counted
	proxyUsers     = 3                // users whose handshakes come from one address
	proxyShare     = 9                // forwarded handshakes for each other one
	maxProxies     = 32               // addresses that are remembered
	proxyLogEvery  = time.Hour
	untrustedProxy = "untrusted_proxy" // word of package cause
)

// A ProxyWatch finds a proxy that is missing in the list of trusted proxies: nearly all
// handshakes of users, and those of several users, come from an address that sends
// X-Forwarded-For and is not trusted. Handshakes without a user count for nothing, because
// anybody can send that header. It is safe for concurrent use.
type ProxyWatch struct {
	trusted []netip.Prefix
	log     *slog.Logger

	mu               sync.Mutex
	began            time.Time // of the window
	forwarded, other int       // handshakes in the window
	users            map[netip.Addr]map[int64]struct{}
	found            netip.Addr // zero if there is none
	signIns          signIns    // in the window
	logged           time.Time
	loggedThrottled  time.Time
}

// NewProxyWatch returns a watch that has seen no handshake.
func NewProxyWatch(trusted []netip.Prefix, log *slog.Logger) *ProxyWatch {
	return &ProxyWatch{trusted: trusted, log: log, users: map[netip.Addr]map[int64]struct{}{}}
}

// Add records the handshake of a user.
func (w *ProxyWatch) Add(r *http.Request, user int64, now time.Time) {
	addr, is := w.untrusted(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn(now)
	if !is {
		if w.other++; w.forwarded < proxyShare*w.other {
			w.found = netip.Addr{}
		}
		return
	}
	w.forwarded++
	users := w.users[addr]
	if users == nil {
		if len(w.users) >= maxProxies {
			return
		}
		users = map[int64]struct{}{}
		w.users[addr] = users
	}
	if len(users) < proxyUsers {
		users[user] = struct{}{}
	}
	if len(users) < proxyUsers || w.forwarded < proxyShare*w.other {
		return
	}
	w.found = addr
	if now.Sub(w.logged) >= proxyLogEvery {
		w.logged = now
		logging.Component(w.log, slog.LevelWarn, "Proxies", "Proxy not trusted: "+w.finding().Error(), slog.String("cause", untrustedProxy))
	}
}

// untrusted returns the address that a request came from. is reports whether the request has
// X-Forwarded-For although the address is not trusted.
func (w *ProxyWatch) untrusted(r *http.Request) (addr netip.Addr, is bool) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	addr = from.Addr().Unmap()
	return addr, err == nil && r.Header.Get("X-Forwarded-For") != "" && !contains(w.trusted, addr)
}

// turn begins a new window if the last one is over. The caller holds the mutex.
func (w *ProxyWatch) turn(now time.Time) {
	if now.Sub(w.began) >= proxyWindow {
		w.began, w.forwarded, w.other, w.signIns = now, 0, 0, signIns{}
		clear(w.users)
	}
}

// Finding returns what is wrong with the trusted proxies, or nil.
func (w *ProxyWatch) Finding() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.found.IsValid() {
		return w.finding()
	}
	if time.Since(w.began) >= proxyWindow {
		return nil
	}
	return w.throttledProxy()
}

func (w *ProxyWatch) finding() error { return &proxyError{w.found} }

// A proxyError says that a proxy is not trusted.
type proxyError struct{ addr netip.Addr }

func (e *proxyError) Error() string {
	return fmt.Sprintf("users connect through %s, which sends X-Forwarded-For, but --trusted-proxies does not contain it; all of them share its address", e.addr)
}

// Cause returns the word of package cause.
func (*proxyError) Cause() string { return untrustedProxy }
