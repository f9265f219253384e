package listen

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestAnUntrustedProxyIsNamed(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	type from struct {
		remote    string
		forwarded string
		user      int64
	}
	for name, c := range map[string]struct {
		shakes []from
		found  bool
	}{
		"nobody":                   {nil, false},
		"several users":            {[]from{{"10.1.2.3:4", "192.0.2.1", 1}, {"10.1.2.3:5", "192.0.2.2", 2}, {"10.1.2.3:6", "192.0.2.3", 3}}, true},
		"one user":                 {[]from{{"10.1.2.3:4", "192.0.2.1", 1}, {"10.1.2.3:5", "192.0.2.2", 1}, {"10.1.2.3:6", "192.0.2.3", 1}}, false},
		"each from its own":        {[]from{{"10.1.2.3:4", "192.0.2.1", 1}, {"10.1.2.4:5", "192.0.2.2", 2}, {"10.1.2.5:6", "192.0.2.3", 3}}, false},
		"a trusted proxy":          {[]from{{"10.9.0.1:4", "192.0.2.1", 1}, {"10.9.0.1:5", "192.0.2.2", 2}, {"10.9.0.1:6", "192.0.2.3", 3}}, false},
		"no proxy":                 {[]from{{"10.1.2.3:4", "", 1}, {"10.1.2.3:5", "", 2}, {"10.1.2.3:6", "", 3}}, false},
		"most come another way":    {[]from{{"10.1.2.3:4", "192.0.2.1", 1}, {"10.1.2.3:5", "192.0.2.2", 2}, {"10.9.0.1:4", "192.0.2.9", 4}, {"10.1.2.3:6", "192.0.2.3", 3}}, false},
		"most come another way at": {[]from{{"10.1.2.3:4", "192.0.2.1", 1}, {"10.1.2.3:5", "192.0.2.2", 2}, {"10.1.2.3:6", "192.0.2.3", 3}, {"10.9.0.1:4", "192.0.2.9", 4}}, false},
	} {
		var log bytes.Buffer
		w := NewProxyWatch([]netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}, slog.New(slog.NewTextHandler(&log, nil)))
		for _, s := range c.shakes {
			r := &http.Request{RemoteAddr: s.remote, Header: http.Header{}}
			if s.forwarded != "" {
				r.Header.Set("X-Forwarded-For", s.forwarded)
			}
			w.Add(r, s.user, noon)
		}
		err := w.Finding()
		if (err != nil) != c.found {
			t.Errorf("%s: %v", name, err)
		}
		if c.found && (!strings.Contains(err.Error(), "10.1.2.3") || strings.Count(log.String(), "Proxy not trusted: ") != 1) {
			t.Errorf("%s: %v, logged %s", name, err, log.String())
		}
	}
}
