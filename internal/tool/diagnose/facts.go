package diagnose

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Facts is the evidence of a diagnosis: what the probes sent, and what came of it. It holds no
// token, ticket or password. [judge] finds the causes in it.
type Facts struct {
	Host string `json:"host"`
	Port string `json:"port"`
	TLS  bool   `json:"tls"`
	// Prefix is the path of the URL before /ws/.
	Prefix string `json:"prefix,omitempty"`
	// Given names the options that were set: token, identifier, origin, ca, ops, idle, send.
	Given []string `json:"given,omitempty"`
	// EnvironmentProxy is the proxy of the environment, which is not used.
	EnvironmentProxy string `json:"environment_proxy,omitempty"`

	NameError string    `json:"name_error,omitempty"`
	Addresses []Address `json:"addresses,omitempty"`
	// OtherPorts are ports of the host that accept connections where Port does not.
	OtherPorts []string `json:"other_ports,omitempty"`
	// Speaks holds what the port was found to speak other than what the URL says: tls, http,
	// http2, proxy_protocol, redis, postgres, or the name of another protocol.
	Speaks      []string     `json:"speaks,omitempty"`
	Certificate *Certificate `json:"certificate,omitempty"`

	// SkewMS is the server's clock minus the clock of this machine.
	SkewMS   *int64    `json:"skew_ms,omitempty"`
	Token    *Token    `json:"token,omitempty"`
	Attempts []Attempt `json:"attempts,omitempty"`
	Messages []Message `json:"messages,omitempty"`
	Idle     []Silence `json:"idle,omitempty"`
	Replicas []Replica `json:"replicas,omitempty"` // as their ops listeners report
	Stories  []Story   `json:"stories,omitempty"`
	// Slow holds the steps that took longer than their limit.
	Slow []Slow `json:"slow,omitempty"`
}

// An Address is one address of the host's name.
type Address struct {
	IP    string  `json:"ip"`
	Error string  `json:"error,omitempty"` // refused, unreachable or timeout; empty if it accepts connections
	MS    float64 `json:"ms"`
}

// A Certificate is the result of the TLS handshake.
type Certificate struct {
	Version  string    `json:"version,omitempty"`
	Names    string    `json:"names,omitempty"`
	Issuer   string    `json:"issuer,omitempty"`
	NotAfter time.Time `json:"not_after,omitzero"`
	// Cause is a word of package cause if the handshake failed. Detail says why.
	Cause  string `json:"cause,omitempty"`
	Detail string `json:"detail,omitempty"`
	// SmallHello is true if a smaller ClientHello was answered after the usual one was not.
	SmallHello bool `json:"small_hello,omitempty"`
}

// A Token is what can be seen of the access token without its secret.
type Token struct {
	Refusal string  `json:"refusal,omitempty"` // a word of package cause
	Detail  string  `json:"detail,omitempty"`
	AgeS    float64 `json:"age_s"`            // since its iat, by the clock of this machine
	Minted  bool    `json:"minted,omitempty"` // by this diagnosis
}

// An Attempt is one request or handshake.
type Attempt struct {
	Probe string `json:"probe"` // what the attempt was for, such as upgrade, browser or ticket
	Path  string `json:"path"`
	// Sent names what matters of the request: subprotocol, authorization, query, origin, ticket.
	Sent    string `json:"sent,omitempty"`
	Bytes   int    `json:"bytes,omitempty"` // size of the request or frame, if it matters
	Held    int    `json:"held,omitempty"`  // sockets that were open beside it, if that matters
	Address string `json:"address,omitempty"`
	OK      bool   `json:"ok"` // the answer is the expected one

	Status  int               `json:"status,omitempty"` // 0 if there was no HTTP response
	Ours    bool              `json:"ours,omitempty"`   // roomspa answered
	Replica string            `json:"replica,omitempty"`
	Ref     string            `json:"ref,omitempty"`
	Header  map[string]string `json:"header,omitempty"`
	Body    string            `json:"body,omitempty"` // its first 200 bytes, of a response that is not roomspa's
	// Error is refused, unreachable, timeout, reset, closed, not_http or tls if there is no
	// usable response. On an open socket it says how the wait for a frame ended.
	Error string `json:"error,omitempty"`
	Text  string `json:"text,omitempty"` // of the error

	Frames   string  `json:"frames,omitempty"` // the types of the first frames
	Code     string  `json:"code,omitempty"`   // word of the problem document, error frame or Close
	Detail   string  `json:"detail,omitempty"`
	Close    int     `json:"close,omitempty"`
	NotReady string  `json:"not_ready,omitempty"` // from the greeting
	MS       float64 `json:"ms"`                  // to the response
	TotalMS  float64 `json:"total_ms,omitempty"`  // to the awaited frame
}

// A Message is one probe frame between two sockets of a room.
type Message struct {
	From  string  `json:"from"` // replica
	To    string  `json:"to"`
	Error string  `json:"error,omitempty"` // own: it did not come back to its sender; other: it did not reach the other socket; else what ended the socket
	MS    float64 `json:"ms"`
}

// A Silence is one socket of the idle probe.
type Silence struct {
	Kind    string  `json:"kind"` // pinged, unpinged or busy
	WatchS  float64 `json:"watch_s"`
	Ended   bool    `json:"ended,omitempty"`
	Cut     bool    `json:"cut,omitempty"` // something in between ended it
	AgeS    float64 `json:"age_s,omitempty"`
	SilentS float64 `json:"silent_s,omitempty"` // before the end
	Pings   int64   `json:"pings"`
	Code    string  `json:"code,omitempty"` // word of the Close
	Detail  string  `json:"detail,omitempty"`
	Ref     string  `json:"ref,omitempty"`
}

// A Slow is a step that took longer than its limit.
type Slow struct {
	Step    string  `json:"step"`
	MS      float64 `json:"ms"` // the median
	LimitMS float64 `json:"limit_ms"`
}

// seenHeaders are the response headers that Facts keeps.
var seenHeaders = []string{
	"Server", "Via", "Location", "Content-Type", "WWW-Authenticate", "Proxy-Authenticate", "Retry-After",
	"Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Cache-Control", "Age", "X-Cache", "X-Cache-Status", "CF-Cache-Status",
}

func keepHeaders(h http.Header) map[string]string {
	kept := map[string]string{}
	for _, name := range seenHeaders {
		if v := h.Get(name); v != "" {
			if name == "Location" {
				v, _, _ = strings.Cut(v, "?") // the query may hold a token
			}
			kept[name] = truncate(v)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// given reports whether an option was set.
func (f *Facts) given(name string) bool { return slices.Contains(f.Given, name) }

// any reports whether one of the attempts has a property.
func (f *Facts) any(has func(*Attempt) bool) bool { return len(f.attempts(has)) > 0 }

func (f *Facts) attempts(has func(*Attempt) bool) []*Attempt {
	var all []*Attempt
	for i := range f.Attempts {
		if has(&f.Attempts[i]) {
			all = append(all, &f.Attempts[i])
		}
	}
	return all
}

// reached reports whether roomspa has answered on the public address.
func (f *Facts) reached() bool {
	return f.any(func(a *Attempt) bool { return a.Ours && a.Probe != "direct" })
}

// ready reports whether an ops listener says that its replica is ready.
func (f *Facts) ready() bool {
	for _, r := range f.Replicas {
		if r.Ready && !r.Draining {
			return true
		}
	}
	return false
}

func (f *Facts) speaks(protocol string) bool { return slices.Contains(f.Speaks, protocol) }
