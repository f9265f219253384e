package listen

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientAddr returns the address of the client that sent a request: with its port if
// it connected directly, without if a trusted proxy reports it.
//
// X-Forwarded-For is read from the right, and only while the address that added an
// entry is trusted. What stands left of the first untrusted address is the client's
// own claim, and is ignored.
func ClientAddr(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a pipe of a test
	}
	addr := peer.Addr().Unmap()
	if !contains(trusted, addr) {
		return netip.AddrPortFrom(addr, peer.Port()).String()
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		next, err := netip.ParseAddr(hop)
		if err != nil { // some proxies add the port
			withPort, err := netip.ParseAddrPort(hop)
			if err != nil {
				break
			}
			next = withPort.Addr()
		}
		if addr = next.Unmap(); !contains(trusted, addr) {
			break
		}
	}
	return addr.String()
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}
