package app_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestAProxyThatIsNotTrustedIsNamed connects users through a proxy on this host.
func TestAProxyThatIsNotTrustedIsNamed(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	proxies := func() (found ops.Result) {
		status, answer := r.Readyz(t)
		for _, c := range answer.Checks {
			if c.Name == "proxies" {
				found = c
			}
		}
		if status != http.StatusOK || !found.OK {
			t.Errorf("/readyz is %d with %+v", status, found)
		}
		return found
	}
	for _, user := range []room.UserID{world.Customer, world.Therapist, world.Support} {
		if found := proxies(); found.Cause != "" {
			t.Errorf("before user %d: %+v", user, found)
		}
		s := r.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Header: http.Header{
			"X-Forwarded-For": {"192.0.2.1"}, "Authorization": {"Bearer " + r.World.Token(t, user)},
		}})
		s.Expect(t, "connected")
	}
	world.Eventually(t, "the proxy is named", func() (bool, any) {
		found := proxies()
		return found.Cause == "untrusted_proxy" && strings.Contains(found.Warning, "127.0.0.1") && found.Advice != "", found
	})
	if n := strings.Count(r.Log.String(), "[Proxies] Proxy not trusted: users connect through 127.0.0.1"); n != 1 {
		t.Errorf("%d lines of the log name it", n)
	}
}

func TestTrustedRangesThatClientsCanBeInsideAreRefused(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	for text, want := range map[string]bool{
		"10.0.0.0/8": true, "172.16.0.0/12": true, "104.16.0.0/13": true, "fd00::/8": true, "fc00::/7": true, "2400:cb00::/32": true, "::1/128": true,
		"0.0.0.0/0": false, "10.0.0.0/7": false, "128.0.0.0/1": false, "::/0": false, "2000::/3": false, "fc00::/6": false, "::ffff:0:0/96": false,
	} {
		o := w.Options(t, func(o *app.Options) {
			o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix(text)}
		})
		err := o.Validate()
		if refused := err != nil && strings.Contains(err.Error(), "--trusted-proxies"); refused == want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
