package auth

import (
	"net/http"
	"net/url"
	"strings"
)

// defaultPort holds the ports that browsers omit from an origin and some proxies add to the
// Host header.
var defaultPort = map[string]string{"http": ":80", "https": ":443"}

// Origin returns the origin of a request, or "" if it has none. ok is false if it has several:
// RFC 6454 §7.3 allows one, and which one counts must not depend on who reads them.
func Origin(h http.Header) (origin string, ok bool) {
	if len(h["Origin"]) > 1 {
		return "", false
	}
	return h.Get("Origin"), true
}

// OriginAllowed reports whether pages of an origin (RFC 6454 §7) may send requests to this
// host. An origin is a scheme, a host and perhaps a port, and nothing more. It must be the host
// itself, by http or https, or match an entry of the list in scheme, host and port. The entry
// "*" matches every origin.
func OriginAllowed(origin, host string, list []string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || !strings.EqualFold(u.Scheme+"://"+u.Host, origin) {
		return false
	}
	if port, web := defaultPort[u.Scheme]; web && (strings.EqualFold(u.Host, host) || strings.EqualFold(u.Host+port, host)) {
		return true
	}
	for _, allowed := range list {
		if allowed == "*" || strings.EqualFold(strings.TrimSuffix(allowed, "/"), origin) {
			return true
		}
	}
	return false
}
