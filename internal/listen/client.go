package handshake

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Remote returns the address of the client of a request. X-Forwarded-For is read
// from the right, and only as far as trusted proxies vouch for it: what stands
// left of the first untrusted address is the client's own claim.
func Remote(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a test's pipe
	}
	addr := peer.Addr().Unmap()
	if !within(addr, trusted) {
		return netip.AddrPortFrom(addr, peer.Port()).String()
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		next, err := netip.ParseAddr(hop)
		if err != nil { // some proxies add the port
			if with, err := netip.ParseAddrPort(hop); err == nil {
				next = with.Addr()
			} else {
				break
			}
		}
		if addr = next.Unmap(); !within(addr, trusted) {
			break
		}
	}
	return addr.String()
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
