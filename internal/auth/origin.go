package auth

import (
	"net/url"
	"strings"
)

// defaultPort is what a browser leaves out of an origin, and some proxies add to the
// Host that they hand on.
var defaultPort = map[string]string{"http": ":80", "https": ":443"}

// OriginAllowed reports whether pages of an origin (RFC 6454 §7) may talk to this
// host: those of the host itself, and those on the list. Scheme, host and port of
// an entry must match; an entry "*" is every origin.
func OriginAllowed(origin, host string, list []string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	if strings.EqualFold(u.Host, host) || strings.EqualFold(u.Host+defaultPort[u.Scheme], host) {
		return true
	}
	for _, allowed := range list {
		if allowed == "*" || strings.EqualFold(strings.TrimSuffix(allowed, "/"), origin) {
			return true
		}
	}
	return false
}
