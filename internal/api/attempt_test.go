package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/auth"
)

func TestTheNetworksOfAClient(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.1":                 "192.0.2.1",
		"192.0.2.1:443":             "192.0.2.1",
		"::ffff:192.0.2.1":          "192.0.2.1",
		"2001:db8:1:203::4":         "2001:db8:1:203:: 2001:db8:1:200::/56 2001:db8:1::/48",
		"[2001:db8:1:203::4%x]:443": "2001:db8:1:203:: 2001:db8:1:200::/56 2001:db8:1::/48",
		"fe80::1%eth0":              "fe80:: fe80::/56 fe80::/48",
		"@":                         "@",
	} {
		if got := strings.Join(clientNetworks(remote), " "); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

func TestWhatAnAttemptBelongsTo(t *testing.T) {
	t.Parallel()
	keys, err := auth.NewKeys([]string{strings.Repeat("k", 32)})
	if err != nil {
		t.Fatal(err)
	}
	l := &login{o: Options{Keys: keys}}
	a, b := l.newAttempt("2001:db8:1:1::1", "One@example.com"), l.newAttempt("2001:db8:1:2::1", "one@EXAMPLE.com")
	if a.account != b.account {
		t.Error("the case of an identifier makes another account")
	}
	if a.pair == b.pair {
		t.Error("another /64 is the same address")
	}
	if other := l.newAttempt("2001:db8:2:1::1", "one@example.com"); a.client.Network != b.client.Network || a.client.Network == other.client.Network {
		t.Error("the turns are not shared by a /48")
	}
}

func TestTheBucketsOfAnAttempt(t *testing.T) {
	t.Parallel()
	limits := LoginLimits{Address: 20, AccountAddress: 10, Account: 300}
	v4, v6 := []string{"a"}, []string{"a64", "a56", "a48"}
	for name, tt := range map[string]struct {
		networks []string
		known    bool
		want     []string
	}{
		"IPv4":  {v4, false, []string{"x:a 10 account_address", "x 300 account", "a 20 address"}},
		"known": {v6, true, []string{"x:a64 10 account_address"}},
		"IPv6": {v6, false, []string{
			"x:a64 10 account_address", "x 300 account", "a64 20 address",
			"x:a48 40 account_network", "a56 80 network", "a48 320 network",
		}},
	} {
		a := &attempt{account: "x", networks: tt.networks, client: auth.Client{Known: tt.known}}
		var got []string
		for _, b := range limits.count(a) {
			got = append(got, fmt.Sprint(strings.TrimPrefix(b.name, "login:"), " ", b.perMinute, " ", b.limit))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
