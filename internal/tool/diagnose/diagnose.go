// Package diagnose implements `roomspa diagnose`. Probes connect as each kind of client does, from
// the host's name to a message through Redis, and collect facts. One pure function judges all of
// them at the end and names the causes and their cures. It repairs nothing, and stores a message
// only if asked to.
package diagnose

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/tool/client"
)

// Options configures a diagnosis. Only URL is required.
type Options struct {
	// URL is the endpoint of a room, /ws/test/ or the server; ws, wss, http or https. The
	// steps about a room require the URL of a room, or the credentials of both sides.
	URL string
	// Token is an access token. It is never shown.
	Token string
	// Identifier and Password sign in if there is no token.
	Identifier, Password string
	// PeerIdentifier and PeerPassword sign in the other side of the room. They are used
	// only if URL names no room.
	PeerIdentifier, PeerPassword string
	// Origin is the origin of the page that connects. Default: the server's own.
	Origin string
	// TLS is the configuration for wss; nil uses the system's roots. CA says that it trusts
	// the certificates of a file.
	TLS *tls.Config
	CA  bool
	// Idle is how long to leave sockets silent, to measure the timeouts of proxies. 0
	// skips that step.
	Idle time.Duration
	// Send stores one message in the room.
	Send bool
	// Ops are the ops listeners of the replicas, as in http://10.0.0.7:9090.
	Ops []string
	// OpsToken is the token of the ops listeners, or empty.
	OpsToken string
	// Timeout bounds each single wait. Default: 4 s.
	Timeout time.Duration
	// Limit bounds the whole diagnosis, apart from Idle. Steps that are not finished by then
	// are reported as not tested. Default: 20 s.
	Limit time.Duration
	// Now returns the time of this machine's clock; nil for time.Now.
	Now func() time.Time
	// Watch is informed of the progress; nil for none.
	Watch Watcher
}

const (
	defaultTimeout = 4 * time.Second
	defaultLimit   = 20 * time.Second
)

// A Watcher shows the progress of a diagnosis. Its methods are not called concurrently.
type Watcher interface {
	// Start is called when steps begin, whose names are separated by commas.
	Start(steps string)
	// Progress is called from time to time with what a step is waiting for.
	Progress(step, text string)
	// End is called with the result of a step.
	End(s Step)
}

// A Step is the result of one step.
type Step struct {
	Name   string  `json:"name"`
	OK     bool    `json:"ok"`
	Detail string  `json:"detail"`
	MS     float64 `json:"ms"`
	Slow   bool    `json:"slow,omitempty"` // it works, but took longer than its limit
}

// A Report is the result of a diagnosis.
type Report struct {
	OK bool `json:"ok"` // no fault was found
	// Cause, Cure and Ref are those of the first finding. They are empty if there is neither a
	// fault nor a warning.
	Cause    string    `json:"cause"`
	Cure     string    `json:"cure"`
	Ref      string    `json:"ref"`
	Steps    []Step    `json:"steps"`
	Findings []Finding `json:"findings"`
	// NotTested names the steps that were left out or not finished, and why.
	NotTested []string `json:"not_tested"`
	// Next says, if no fault was found, what the run does not cover and what to run for it.
	Next  string `json:"next,omitempty"`
	Facts Facts  `json:"facts"`
}

// interrupted is the cause of a diagnosis that its caller ended.
const interrupted = "interrupted"

// Valid returns an error if rawURL cannot be diagnosed. The error never contains the URL,
// which may hold a token.
func Valid(rawURL string) error {
	_, err := client.SocketURL(rawURL)
	return err //nolint:wrapcheck // says what is wrong with the URL
}

// Run runs the diagnosis. It returns an error only for invalid options. When ctx ends, the
// report holds the results until then.
func Run(ctx context.Context, o Options) (Report, error) {
	w, err := newWalk(o)
	if err != nil {
		return Report{}, err
	}
	w.caller = ctx
	w.run(ctx)
	w.closeSockets()
	slices.SortStableFunc(w.facts.Attempts, func(a, b Attempt) int {
		return cmp.Compare(slices.Index(probeOrder, a.Probe), slices.Index(probeOrder, b.Probe))
	})
	r := Report{Steps: w.steps, NotTested: append([]string{}, w.notTested...), Facts: w.facts, Findings: append([]Finding{}, judge(&w.facts)...)} // never null
	if ctx.Err() != nil {
		stopped := Finding{Cause: interrupted, Level: fault, Side: byClient, Evidence: []string{"the diagnosis was interrupted"}, Cure: "Run it to its end."}
		r.Findings = append([]Finding{stopped}, r.Findings...)
	}
	r.OK = !slices.ContainsFunc(r.Findings, func(n Finding) bool { return n.Level == fault })
	if len(r.Findings) > 0 && r.Findings[0].Level != note {
		r.Cause, r.Cure, r.Ref = r.Findings[0].Cause, r.Findings[0].Cure, r.Findings[0].Ref
	}
	if r.OK && len(r.NotTested) > 0 {
		r.Next = next(&r)
	}
	return r, nil
}

// probeOrder is the order in which a client meets what the probes test.
var probeOrder = []string{
	"http", "upgrade", "again", "beside", "size", "direct", "browser", "preflight", "echo", "frame", "routes", "sign-in", "refresh", "app", "ticket", "classic",
	"handshake", "location", "stored", "history",
}

func newWalk(o Options) (*walk, error) {
	target, err := client.SocketURL(o.URL)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what is wrong with the URL
	}
	base, err := client.BaseURL(o.URL)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what is wrong with the URL
	}
	o.Timeout, o.Limit = cmp.Or(o.Timeout, defaultTimeout), cmp.Or(o.Limit, defaultLimit)
	if o.Now == nil {
		o.Now = time.Now
	}
	query := target.Query()
	o.Token = cmp.Or(o.Token, query.Get("token"))
	query.Del("token")
	target.RawQuery = query.Encode()
	if o.Watch == nil {
		o.Watch = noWatcher{}
	}
	w := &walk{Options: o, target: target, base: base, room: roomOf(target.Path), watch: o.Watch, width: 3}
	port := target.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443"}[target.Scheme]
	}
	w.facts = Facts{Host: target.Hostname(), Port: port, TLS: target.Scheme == "wss", EnvironmentProxy: environmentProxy(target)}
	w.facts.Prefix, _, _ = strings.Cut(strings.TrimRight(target.Path, "/"), "/ws")
	for name, set := range map[string]bool{
		"token": o.Token != "", "identifier": o.Identifier != "", "origin": o.Origin != "", "ca": o.CA, "ops": len(o.Ops) > 0, "idle": o.Idle > 0, "send": o.Send,
	} {
		if set {
			w.facts.Given = append(w.facts.Given, name)
		}
	}
	slices.Sort(w.facts.Given)
	return w, nil
}

// roomOf returns what follows /ws/chat/ or /ws/location/ in a path, or "". It may be an
// incomplete room, which the server then refuses.
func roomOf(path string) string {
	_, rest, _ := strings.Cut(path, "/ws/")
	endpoint, room, _ := strings.Cut(rest, "/")
	if endpoint != "chat" && endpoint != "location" {
		return ""
	}
	return strings.TrimSuffix(room, "/") + "/"
}

// environmentProxy returns the proxy of the environment for a URL, which a diagnosis does not use.
func environmentProxy(target *url.URL) string {
	request := &http.Request{URL: target.JoinPath()}
	request.URL.Scheme = "http" + strings.TrimPrefix(request.URL.Scheme, "ws")
	proxy, err := http.ProxyFromEnvironment(request)
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Redacted()
}

type noWatcher struct{}

func (noWatcher) Start(string)            {}
func (noWatcher) Progress(string, string) {}
func (noWatcher) End(Step)                {}
