package diagnose

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/cause"
)

// badUpgrade is the text of a 101 response without the headers that the client expects.
const badUpgrade = "the response 101 lacks Upgrade, Connection or Sec-WebSocket-Accept"

// stranger reports whether something else than roomspa answered.
func (a *Attempt) stranger() bool { return a.Status != 0 && !a.Ours }

func (a *Attempt) sent(what string) bool { return strings.Contains(a.Sent, what) }

func (a *Attempt) redirects() bool {
	return a.Status >= 300 && a.Status < 400 && a.Header["Location"] != ""
}

// says reports whether the body of a stranger contains one of some texts.
func (a *Attempt) says(texts ...string) bool {
	return a.stranger() && slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(a.Body), strings.ToLower(t)) })
}

// oursAt reports whether roomspa answered an attempt of a probe (all for "") at a path.
func (f *Facts) oursAt(probe, path string) bool {
	return f.any(func(a *Attempt) bool { return a.Ours && a.Path == path && (probe == "" || a.Probe == probe) })
}

// failed reports whether all attempts of a probe got an answer that is not roomspa's.
func (f *Facts) failed(probe string) bool {
	all := f.attempts(func(a *Attempt) bool { return a.Probe == probe })
	return len(all) > 0 && !slices.ContainsFunc(all, func(a *Attempt) bool { return a.Ours })
}

// acceptedElsewhere reports whether roomspa took the token of the diagnosis.
func acceptedElsewhere(a *Attempt) bool {
	return a.OK && a.Ours && (a.sent("subprotocol") && a.Probe != "browser" || a.sent("Authorization") || a.sent("token in the query"))
}

// refusedSignature reports whether a replica refused the token for its signature.
func refusedSignature(a *Attempt) bool {
	return containsAny(a.Detail, "bad_signature", "unknown_key", "signature does not fit", "unknown key")
}

// tokenFault returns why roomspa refused the token of an attempt: the sub-cause of token_invalid.
// Answers of the API have none, so another answer to the same token may tell it.
func (f *Facts) tokenFault(a *Attempt) string {
	if word := subCause(a.Detail); word != auth.TokenInvalid {
		return word
	}
	for _, b := range f.attempts(func(b *Attempt) bool { return b.Code == auth.TokenInvalid && !b.sent("ticket") }) {
		if word := subCause(b.Detail); word != auth.TokenInvalid {
			return word
		}
	}
	if refusedSignature(a) {
		return map[bool]string{true: "unknown_key", false: "bad_signature"}[containsAny(a.Detail, "unknown key")]
	}
	return auth.TokenInvalid
}

// subCause returns the word before the colon of a refusal's detail, or token_invalid if there is
// none.
func subCause(detail string) string {
	word, _, _ := strings.Cut(detail, ":")
	if _, known := cause.Find(word); known {
		return word
	}
	return auth.TokenInvalid
}

// tokenSide returns who can act on a sub-cause of token_invalid. The operator has the keys.
func tokenSide(word string) string {
	if slices.Contains([]string{"bad_signature", "unknown_key", "wrong_issuer", "wrong_audience"}, word) {
		return operator
	}
	return byClient
}

func limited(a *Attempt) bool { return a.Status == 503 || a.Status == 429 || a.Status == 403 }

// socket reports whether the attempt was a handshake.
func (a *Attempt) socket() bool {
	return strings.HasPrefix(a.Path, "/ws/") && a.Probe != "http" && a.Probe != "routes"
}

// hangs reports whether a request got no answer that roomspa gave at other times.
func (f *Facts) hangs() bool {
	return f.any(func(b *Attempt) bool { return b.Error == "timeout" && b.Status == 0 && f.oursAt(b.Probe, b.Path) })
}

// mixed reports whether another answer like this one came where roomspa answered the same request
// before or after.
func (f *Facts) mixed(a *Attempt) bool {
	return f.any(func(b *Attempt) bool {
		return b.stranger() && b.Status == a.Status && b.who() == a.who() && f.oursAt(b.Probe, b.Path)
	})
}

// heldLimit returns how many sockets the proxy lets in beside each other, or 0 if there is no such
// limit. The same number is refused twice, and as few as one are let in.
func heldLimit(f *Facts) int {
	held := 0
	for _, a := range f.attempts(func(a *Attempt) bool { return a.Probe == "beside" && a.stranger() }) {
		if a.Held == 0 || held != 0 && a.Held != held {
			return 0
		}
		if held == a.Held {
			return held
		}
		held = a.Held
	}
	return 0
}

// captive matches the answers of networks that want a sign-in first. They can answer plain HTTP
// only; whoever redirects under a good certificate belongs to the server.
func captive(f *Facts, a *Attempt) bool {
	if !a.stranger() {
		return false
	}
	if a.Status == http.StatusNetworkAuthenticationRequired {
		return true
	}
	if a.redirects() {
		u, err := url.Parse(a.Header["Location"])
		elsewhere := err == nil && u.Host != "" && !strings.EqualFold(u.Hostname(), f.Host)
		samePath := err == nil && strings.Contains(u.Path, "/ws/")
		return elsewhere && !samePath && (!f.TLS || portalWords(a.Header["Location"]))
	}
	return a.Status == 200 && !f.TLS && portalWords(a.Body)
}

func portalWords(s string) bool {
	return containsAny(s, "captive", "hotspot", "portal", "wi-fi", "wifi", "/guest")
}

func loginWords(s string) bool {
	return containsAny(s, "login", "signin", "sign-in", "sign_in", "oauth", "/auth", "sso", "saml", "cdn-cgi/access")
}

func containsAny(s string, words ...string) bool {
	s = strings.ToLower(s)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(s, w) })
}

// maybeTraefik reports whether a 404 can come from Traefik, which has no route while no replica is
// ready: it is the answer of Go's http.NotFound, without a Server header. A diagnosis by IP address
// cannot match a route for a host.
func maybeTraefik(f *Facts, a *Attempt) bool {
	plain := a.Header["Server"] == "" && strings.HasPrefix(a.Body, "404 page not found")
	return plain && !f.ready() && (net.ParseIP(f.Host) == nil || !f.TLS)
}

// otherProtocol returns the protocol of a port that speaks neither HTTP nor TLS.
func otherProtocol(f *Facts) string {
	for _, s := range f.Speaks {
		if !slices.Contains([]string{"tls", "http", "http2", "proxy_protocol"}, s) {
			return s
		}
	}
	return ""
}

// sizes returns the largest request or frame that was answered, and the smallest that was not.
func (f *Facts) sizes() (answered, silent int) {
	for _, a := range f.Attempts {
		switch {
		case a.Probe != "size" && a.Probe != "frame":
		case a.OK || a.Status > 0 && a.Probe == "size":
			answered = max(answered, a.Bytes)
		case a.Error == "timeout" && (silent == 0 || a.Bytes < silent):
			silent = a.Bytes
		}
	}
	if silent > 0 && answered > silent {
		return 0, 0 // it is not the size
	}
	return answered, silent
}
