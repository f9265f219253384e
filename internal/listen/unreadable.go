package listen

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"

	"github.com/roomspa/roomspa/internal/logging"
)

const (
	unreadableForwarded = "unreadable_forwarded_for" // word of package cause
	maxShownEntry       = 64                         // bytes of an entry in the log
)

// reportUnreadable returns a handler that logs once for each trusted proxy, up to a maximum number
// of them, that it wrote an entry into X-Forwarded-For that is no address.
func reportUnreadable(trusted []netip.Prefix, log *slog.Logger, next http.Handler) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	var mu sync.Mutex
	reported := map[netip.Addr]bool{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if proxy, entry := unreadable(r, trusted); entry != "" {
			mu.Lock()
			first := !reported[proxy] && len(reported) < maxProxies
			if first {
				reported[proxy] = true
			}
			mu.Unlock()
			if first {
				logging.Component(log, slog.LevelWarn, "Proxies", fmt.Sprintf(
					"X-Forwarded-For not readable: %q, written by the trusted proxy %s; its clients have no address of their own, and limits by address do not count for them",
					entry[:min(len(entry), maxShownEntry)], proxy), slog.String("cause", unreadableForwarded))
			}
		}
		next.ServeHTTP(w, r)
	})
}

// unreadable returns the trusted proxy that wrote an entry which is no address, and the entry.
func unreadable(r *http.Request, trusted []netip.Prefix) (proxy netip.Addr, entry string) {
	if r.Header["X-Forwarded-For"] == nil {
		return proxy, ""
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if addr := peer.Addr().Unmap(); err == nil && contains(trusted, addr) {
		return forwarded(r, addr, trusted)
	}
	return proxy, ""
}
