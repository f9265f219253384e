package auth

import (
	"net/url"
	"strings"
)

// defaultPort holds the ports that browsers omit from an origin and some proxies add to the
// Host header.
var defaultPort = map[string]string{"http": ":80", "https": ":443"}

// OriginAllowed reports whether pages of an origin (RFC 6454 §7) may send requests to this
// host. The origin must be the host itself or match an entry of the list in scheme, host and
// port. The entry "*" matches every origin.
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
