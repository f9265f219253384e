package listen

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestNetworksOfOneSiteAreAddedUp(t *testing.T) {
	t.Parallel()
	site := func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i) } // a /48
	sites := func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i) }  // many
	hosts := func(i int) string { return fmt.Sprintf("203.0.113.%d", i) }    // of IPv4
	host := func(i int) string { return fmt.Sprintf("2001:db8::%x", i) }     // a /64
	for name, c := range map[string]struct {
		share   float64
		address func(i int) string
		want    int // of 64 places
	}{
		"one /64":            {0.25, host, 32}, // nothing is refused below half
		"one /48":            {0.125, site, 32},
		"one /48, half":      {0.25, site, 32},
		"one /48, a third":   {0.35, site, 44},
		"one /48, all of it": {0.5, site, 64},
		"one /48, no limit":  {1, site, 64},
		"several /48":        {0.25, sites, 64},
		"addresses of IPv4":  {0.25, hosts, 64},
	} {
		l := small(c.share, 64, 64, 64)
		n, opened := 0, 0
		var held []*conn
		for i := range 100 {
			g := &conn{limits: l}
			if v, _ := l.admit(g, netip.MustParseAddr(c.address(i)), true); v == admitted {
				n++
				held = append(held, g)
			}
			if l.OpenSocket(c.address(i)) {
				opened++
			}
		}
		if n != c.want || min(opened, 64) != c.want {
			t.Errorf("%s: %d connections, %d sockets, want %d", name, n, opened, c.want)
		}
		if network, _ := l.holder(netip.MustParseAddr(site(99))); c.want == 44 && network.Bits() != 48 {
			t.Errorf("%s: %s is blamed", name, network)
		}
		for _, g := range held {
			l.remove(g)
		}
		for i := range opened {
			l.CloseSocket(c.address(i))
		}
		if len(l.peers) != 0 {
			t.Errorf("%s: %d networks are left", name, len(l.peers))
		}
	}
}
