package auth_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/auth"
)

func TestOriginAllowed(t *testing.T) {
	t.Parallel()
	list := []string{"https://app.example.org", "http://localhost:3000/", "HTTPS://ports.example.org:443"}
	for _, tt := range []struct {
		origin, host string
		want         bool
	}{
		{"https://example.com", "example.com", true},
		{"http://EXAMPLE.com", "example.com", true},
		{"http://example.com:8000", "example.com:8000", true},
		{"https://example.com", "example.com:443", true},
		{"http://example.com", "example.com:80", true},
		{"http://[::1]", "[::1]:80", true},
		{"https://app.example.org", "example.com", true},
		{"http://localhost:3000", "example.com", true},
		{"https://ports.example.org", "example.com", true},
		{"https://ports.example.org:8443", "example.com", false},
		{"file://", "example.com", false},
		{"https://example.com", "example.com:80", false},
		{"https://example.com:8443", "example.com:443", false},
		{"ftp://example.com", "example.com:21", false},
		{"https://example.com:8000", "example.com", false},
		{"https://example.com.evil.example", "example.com", false},
		{"https://app.example.org:8443", "example.com", false},
		{"http://app.example.org", "example.com", false},
		{"null", "example.com", false},
		{"HTTPS://example.com", "example.com", true},
		{"ftp://example.com", "example.com", false},
		{"ws://example.com", "example.com", false},
		{"http://user@example.com", "example.com", false},
		{"http://user:password@example.com", "example.com", false},
		{"http://example.com/", "example.com", false},
		{"http://example.com/path", "example.com", false},
		{"http://example.com?query", "example.com", false},
		{"http://example.com#part", "example.com", false},
		{"https://app.example.org/", "example.com", false},
		{"https://user@app.example.org", "example.com", false},
		{"https://example.com, https://evil.example", "example.com", false},
		{"example.com", "example.com", false},
		{"https://", "", false},
	} {
		if got := auth.OriginAllowed(tt.origin, tt.host, list); got != tt.want {
			t.Errorf("a page of %s at %s: %v", tt.origin, tt.host, got)
		}
	}
	for origin, want := range map[string]bool{"https://anywhere.example": true, "capacitor://localhost": true, "https://u@anywhere.example": false, "null": true, "file://": true, "file:///": false, "x": false} {
		if got := auth.OriginAllowed(origin, "example.com", []string{"*"}); got != want {
			t.Errorf("a page of %s, where all are allowed: %v", origin, got)
		}
	}
}

func TestAnEntryThatMatchesNoOriginIsRefused(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"*": "", "null": "", "file://": "", "https://app.example.org": "", "https://app.example.org/": "", "http://localhost:3000": "",
		"capacitor://localhost": "", "HTTPS://App.Example.org:443": "", "https://[::1]:8000": "",
		"example.org": "a scheme and a host", "https://": "a scheme and a host", "https://*.example.org": "no patterns", "*.example.org": "no patterns",
		"https://example.org/app": "nothing after host", "https://example.org?x": "nothing after host", "https://u@example.org": "no user",
		"example.org:8000": "a scheme and a host", "https://b\u00fccher.example": "ASCII form", "https://a.example https://b.example": "no URL", "https://:443": "a scheme and a host",
	} {
		err := auth.CheckOrigin(entry)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), strconv.Quote(entry))) {
			t.Errorf("%q: %v, want %q", entry, err, want)
		}
		if bare := auth.OriginAllowed(entry, "other.example", []string{entry}); entry != "*" && want == "" && !strings.Contains(entry, ":443") && !strings.HasSuffix(entry, "g/") && !bare {
			t.Errorf("%q does not match itself", entry)
		}
	}
}
