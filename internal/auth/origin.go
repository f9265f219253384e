package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
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
// "*" matches every origin, null and file:// included.
func OriginAllowed(origin, host string, list []string) bool {
	u, err := url.Parse(origin)
	wellFormed := err == nil && u.Host != "" && strings.EqualFold(u.Scheme+"://"+u.Host, origin)
	if !wellFormed && origin != "null" && !strings.EqualFold(origin, "file://") {
		return false
	}
	if port, web := defaultPort[u.Scheme]; web && (strings.EqualFold(u.Host, host) || strings.EqualFold(u.Host+port, host)) {
		return true
	}
	for _, allowed := range list {
		if allowed == "*" || strings.EqualFold(withoutDefaults(allowed), origin) {
			return true
		}
	}
	return false
}

// withoutDefaults returns an entry of the list as a browser writes that origin: without a slash at
// the end, and without the default port.
func withoutDefaults(entry string) string {
	if strings.HasSuffix(entry, "://") { // file://
		return entry
	}
	entry = strings.TrimSuffix(entry, "/")
	scheme, _, _ := strings.Cut(entry, "://")
	return strings.TrimSuffix(entry, defaultPort[strings.ToLower(scheme)])
}

// CheckOrigin returns an error, which names the entry, if an entry of the list of [OriginAllowed]
// can match no origin.
func CheckOrigin(entry string) error {
	switch entry {
	case "*", "null", "file://":
		return nil
	}
	u, err := url.Parse(entry)
	why := ""
	switch {
	case err != nil || strings.ContainsAny(entry, " \t\r\n"):
		why = "it is no URL"
	case strings.Contains(entry, "*"):
		why = "there are no patterns: list each origin, or * alone for every origin"
	case u.Scheme == "" || u.Host == "" || u.Hostname() == "":
		why = "an origin is a scheme and a host"
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "", u.User != nil, strings.HasSuffix(entry, "?"), strings.HasSuffix(entry, "#"):
		why = "an origin has nothing after host and port, and no user"
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII }):
		why = "browsers send such a host in its ASCII form (xn--…)"
	default:
		return nil
	}
	return fmt.Errorf("has the entry %q, which matches no origin: %s, as in https://app.example.com", entry, why)
}
