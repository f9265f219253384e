package api

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
)

// Pairs remembers the addresses from which accounts were signed in to. Its errors wrap
// [room.ErrUnavailable].
type Pairs interface {
	// Recall returns the first 1,024 bytes of what is kept under a name, or "".
	Recall(ctx context.Context, name string) (string, error)
	// Remember keeps a value under a name for life.
	Remember(ctx context.Context, name, value string, life time.Duration) error
}

const (
	// maxPairs is the number of addresses that are remembered for an account, the latest ones.
	maxPairs = 16
	pairLife = 90 * 24 * time.Hour
)

// An attempt is one sign-in of a client to an account. The account is the identifier,
// whether it exists or not, so that the limits do not reveal which accounts exist.
type attempt struct {
	account  string   // a pseudonym
	pair     string   // a pseudonym of the account and the address: nobody without the secret can make one; "" if the address is unknown
	networks []string // pseudonyms of the client's networks, the smallest first; none if the address is unknown
	client   auth.Client
	pairs    []string // the remembered pairs of the account, the latest first
	buckets  []bucket
}

// A bucket is one limit of an attempt.
type bucket struct {
	name      string
	perMinute int
	limit     string // for metrics and logs
}

func (l *login) newAttempt(remote, identifier string) *attempt {
	a := &attempt{account: l.o.Keys.Pseudonym("login account", room.NormalizeIdentifier(identifier))}
	if l.o.IsProxy != nil && l.o.IsProxy(remote) { // one address for many clients
		a.client.Network = a.account
		return a
	}
	networks := clientNetworks(remote)
	a.pair = l.o.Keys.Pseudonym("login pair", a.account+" "+networks[0])
	for _, n := range networks {
		a.networks = append(a.networks, l.o.Keys.Pseudonym("login address", n))
	}
	a.client.Network = a.networks[len(a.networks)-1]
	return a
}

// clientNetworks returns the networks of a client in which an attacker may own all addresses, the
// smallest first: for IPv4 the address, for IPv6 the /64 (written as its first address), /56
// and /48.
func clientNetworks(remote string) []string {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		with, err := netip.ParseAddrPort(remote)
		if err != nil {
			return []string{remote}
		}
		addr = with.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return []string{addr.String()}
	}
	prefix := func(bits int) netip.Prefix { return netip.PrefixFrom(addr, bits).Masked() }
	return []string{prefix(64).Addr().String(), prefix(56).String(), prefix(48).String()}
}

// recognize finds out whether the account was signed in to from the address before.
func (l *login) recognize(e *exchange, a *attempt) *failure {
	if l.o.Pairs == nil || a.pair == "" {
		return nil
	}
	e.step("recognize the client")
	value, err := l.o.Pairs.Recall(e.r.Context(), "login:pairs:"+a.account)
	if err != nil {
		return redisUnavailable(err)
	}
	a.pairs = strings.Fields(value)
	a.client.Known = slices.Contains(a.pairs, a.pair)
	return nil
}

// remember keeps the pair of a successful attempt. If it fails, the next success tries again.
func (l *login) remember(e *exchange, a *attempt) {
	if l.o.Pairs == nil || a.pair == "" {
		return
	}
	others := slices.DeleteFunc(a.pairs, func(p string) bool { return p == a.pair })
	pairs := append([]string{a.pair}, others[:min(len(others), maxPairs-1)]...)
	_ = l.o.Pairs.Remember(e.r.Context(), "login:pairs:"+a.account, strings.Join(pairs, " "), pairLife)
}
