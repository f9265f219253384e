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
	logged           time.Time
}

// NewProxyWatch returns a watch that has seen no handshake.
func NewProxyWatch(trusted []netip.Prefix, log *slog.Logger) *ProxyWatch {
	return &ProxyWatch{trusted: trusted, log: log, users: map[netip.Addr]map[int64]struct{}{}}
}

// Add records the handshake of a user.
func (w *ProxyWatch) Add(r *http.Request, user int64, now time.Time) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	addr := from.Addr().Unmap()
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Sub(w.began) >= proxyWindow {
		w.began, w.forwarded, w.other = now, 0, 0
		clear(w.users)
	}
	if err != nil || r.Header.Get("X-Forwarded-For") == "" || contains(w.trusted, addr) {
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

// Finding returns what is wrong with the trusted proxies, or nil.
func (w *ProxyWatch) Finding() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.found.IsValid() {
		return nil
	}
	return w.finding()
}

func (w *ProxyWatch) finding() error { return &proxyError{w.found} }

// A proxyError says that a proxy is not trusted.
type proxyError struct{ addr netip.Addr }

func (e *proxyError) Error() string {
	return fmt.Sprintf("users connect through %s, which sends X-Forwarded-For, but --trusted-proxies does not contain it; all of them share its address", e.addr)
}

// Cause returns the word of package cause.
func (*proxyError) Cause() string { return untrustedProxy }
