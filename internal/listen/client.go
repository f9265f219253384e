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
	addr, _ = forwarded(r, addr, trusted)
	return addr.String()
}

// forwarded returns the address that trusted proxies report, beginning with that of the peer, and
// the entry that could not be read, or "". Then the address is that of the proxy that wrote it.
func forwarded(r *http.Request, addr netip.Addr, trusted []netip.Prefix) (client netip.Addr, unreadable string) {
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		if hop == "" {
			continue
		}
		next, ok := parseHop(hop)
		if !ok {
			return addr, hop
		}
		if addr = next; !contains(trusted, addr) {
			break
		}
	}
	return addr, ""
}

// parseHop reads an entry of X-Forwarded-For. Some proxies add the port, brackets or quotes.
func parseHop(hop string) (netip.Addr, bool) {
	if len(hop) > 1 && hop[0] == '"' && hop[len(hop)-1] == '"' {
		hop = strings.TrimSpace(hop[1 : len(hop)-1])
	}
	if with, err := netip.ParseAddrPort(hop); err == nil {
		return with.Addr().Unmap().WithZone(""), true
	}
	if len(hop) > 1 && hop[0] == '[' && hop[len(hop)-1] == ']' {
		hop = hop[1 : len(hop)-1]
	}
	a, err := netip.ParseAddr(hop)
	return a.Unmap().WithZone(""), err == nil
}

// IsProxy reports whether an address that [ClientAddr] has returned is that of a trusted proxy,
// which has not told the client's. Many clients may have it.
func IsProxy(remote string, trusted []netip.Prefix) bool {
	a, ok := parse(remote)
	return ok && contains(trusted, a.Unmap())
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}
