package auth_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/auth"
)

func TestOriginAllowed(t *testing.T) {
	t.Parallel()
	list := []string{"https://app.example.org", "http://localhost:3000/"}
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
	for origin, want := range map[string]bool{"https://anywhere.example": true, "capacitor://localhost": true, "https://u@anywhere.example": false, "null": false} {
		if got := auth.OriginAllowed(origin, "example.com", []string{"*"}); got != want {
			t.Errorf("a page of %s, where all are allowed: %v", origin, got)
		}
	}
}
