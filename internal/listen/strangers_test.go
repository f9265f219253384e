package listen

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestStrangersOfANetworkShareARate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := small(0.25, 16, 16, 16)
		charge := func(n int, a string) {
			for range n {
				l.Charge(a)
			}
		}
		want := func(a string, exhausted bool) {
			t.Helper()
			if got := l.exhausted(network(netip.MustParseAddr(a))); got != exhausted {
				t.Errorf("%s is exhausted: %v", a, got)
			}
		}
		charge(strangerBurst-1, "[2001:db8::1]:1")
		want("2001:db8::1", false)
		charge(1, "2001:db8::2")
		want("2001:db8::3", true)
		want("2001:db8:0:1::1", false)
		charge(1000, "192.0.2.1:1") // more than the bucket holds is no debt
		want("192.0.2.1", true)
		want("192.0.2.2", false)
		time.Sleep(strangerPeriod) //nolint:forbidigo // the bubble's time
		want("192.0.2.1", false)
		charge(1, "192.0.2.1:2")
		want("192.0.2.1", true)

		for i := range 2 * maxNetworks {
			l.Charge(fmt.Sprintf("2001:db8:%x:%x::1", i>>8, i&255))
		}
		if n := len(l.strangers.buckets); n != maxNetworks {
			t.Errorf("%d networks are remembered, want %d", n, maxNetworks)
		}
		want("192.0.2.1", true)
		time.Sleep(strangerBurst * strangerPeriod) //nolint:forbidigo // the bubble's time
		charge(strangerBurst, "192.0.2.9:1")
		want("192.0.2.9", true)
		if n := len(l.strangers.buckets); n != 1 {
			t.Errorf("%d networks are remembered although their buckets are full", n)
		}

		l = small(1, 16, 16, 16)
		charge(2*strangerBurst, "192.0.2.1:1")
		want("192.0.2.1", false)
	})
}

func TestAnExhaustedNetworkIsRefusedBeforeTheRequest(t *testing.T) {
	t.Parallel()
	l, served := small(0.25, 16, 16, 16), 0
	h := l.guard([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	for range strangerBurst {
		l.Charge("203.0.113.1:1")
		l.Charge("203.0.113.3")
	}
	for _, c := range []struct {
		from, forwarded string
		status          int
		closed          bool
	}{
		{"203.0.113.1:2", "", http.StatusServiceUnavailable, true},
		{"203.0.113.1:2", "203.0.113.2", http.StatusServiceUnavailable, true},
		{"203.0.113.2:2", "203.0.113.1", http.StatusOK, false},
		{"10.0.0.1:2", "203.0.113.3", http.StatusServiceUnavailable, false},
		{"10.0.0.1:2", "203.0.113.4", http.StatusOK, false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = c.from
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		w := httptest.NewRecorder()
		served = 0
		h.ServeHTTP(w, r)
		res := w.Result()
		if refused := c.status != http.StatusOK; res.StatusCode != c.status || served != 0 == refused || res.Header.Get("Retry-After") != "" != refused ||
			res.Header.Get("Roomspa-Ref") != "" != refused || res.Header.Get("Connection") == "close" != c.closed {
			t.Errorf("from %s for %q: status %d, header %v", c.from, c.forwarded, res.StatusCode, res.Header)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodOptions, "/", nil)
	for range strangerBurst {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != http.StatusServiceUnavailable {
		t.Errorf("preflights have no limit: status %d", w.Code)
	}
}
