// Package diagnose implements `roomspa diagnose`. It connects as a client does, step by
// step from the host's name to a message through Redis, and stops at the first problem.
// It names the cause and the cure, using what a client can see and what the ops listeners
// report. It repairs nothing and stores no messages.
package diagnose

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/logging"
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
	// Origin is sent as the header Origin; empty for none.
	Origin string
	// TLS is the configuration for wss; nil uses the system's roots.
	TLS *tls.Config
	// Idle is how long to leave a socket silent, to measure the idle timeout of a proxy. 0
	// skips that step.
	Idle time.Duration
	// Ops are the ops listeners of the replicas, as in http://10.0.0.7:9090.
	Ops []string
	// OpsToken is the token of the ops listeners, or empty.
	OpsToken string
	// Timeout bounds each single wait of a step. Default: 10 s.
	Timeout time.Duration
	// Now returns the time of this machine's clock; nil for time.Now.
	Now func() time.Time
	// Watch is informed of the progress; nil for none.
	Watch Watcher
}

// A Watcher shows the progress of a diagnosis. Its methods are not called concurrently.
type Watcher interface {
	// Start is called when a step begins.
	Start(step string)
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
}

// A Report is the result of a diagnosis.
type Report struct {
	OK    bool   `json:"ok"`
	Cause string `json:"cause"` // a word of package cause; empty if OK
	Cure  string `json:"cure"`
	Ref   string `json:"ref"` // the server's reference of the connection that failed
	Steps []Step `json:"steps"`
}

// A problem is the result of a step that failed.
type problem struct {
	cause  string // a word of package cause
	detail string
	ref    string
	cureOf string // a word whose cure is shown instead of the cause's own, if there is one
}

func (p *problem) Error() string { return p.cause + ": " + p.detail }

// errSkipped is returned by a step that does not apply.
var errSkipped = errors.New("the step does not apply")

const defaultTimeout = 10 * time.Second

// A diagnosis is the state of one call of Run.
type diagnosis struct {
	Options
	target *url.URL // of the socket: ws or wss, without the token
	base   string   // URL of the server: http or https, without a trailing slash
	room   string   // path below /ws/<endpoint>/; empty if no room is diagnosed
	http   *http.Client
	watch  Watcher

	skew      time.Duration  // the server's clock minus ours
	skewKnown bool           // skew has been measured
	sockets   []*client.Conn // of the room's chat: at most two, on different replicas if possible
	before    []opsStatus    // at the beginning
}

// steps lists the steps in order. The first one that fails ends the diagnosis.
var steps = []struct {
	name string
	run  func(*diagnosis, context.Context) (detail string, err error)
}{
	{"name", (*diagnosis).resolveName},
	{"tcp", (*diagnosis).connectTCP},
	{"tls", (*diagnosis).connectTLS},
	{"http", (*diagnosis).requestHTTP},
	{"upgrade", (*diagnosis).testUpgrade},
	{"echo", (*diagnosis).testEcho},
	{"clock", (*diagnosis).compareClocks},
	{"sign-in", (*diagnosis).signIn},
	{"token", (*diagnosis).inspectToken},
	{"handshake", (*diagnosis).joinRoom},
	{"replicas", (*diagnosis).findReplicas},
	{"message", (*diagnosis).exchangeProbes},
	{"location", (*diagnosis).testLocation},
	{"idle", (*diagnosis).measureIdle},
}

// Valid returns an error if rawURL cannot be diagnosed. The error never contains the URL,
// which may hold a token.
func Valid(rawURL string) error {
	_, err := client.SocketURL(rawURL)
	return err
}

// Run runs the diagnosis. It returns an error only for invalid options. When ctx ends, the
// report holds the results until then.
func Run(ctx context.Context, o Options) (Report, error) {
	d, err := newDiagnosis(o)
	if err != nil {
		return Report{}, err
	}
	defer d.close()
	r := Report{OK: true}
	d.before = d.readOps(ctx)
	var found *problem
	for _, s := range steps {
		if found = d.runStep(ctx, &r, s.name, s.run); found != nil {
			break
		}
	}
	if len(o.Ops) > 0 && (found == nil || found.cause != interrupted) {
		inner := d.runStep(ctx, &r, "inside", func(d *diagnosis, ctx context.Context) (string, error) { return d.inspectOps(ctx, found) })
		found = combine(found, inner)
	}
	if found != nil {
		r.OK, r.Cause, r.Ref = false, found.cause, found.ref
		r.Cure = cause.Cure(found.cause)
		if found.cureOf != "" {
			r.Cure = cmp.Or(cause.Cure(found.cureOf), r.Cure)
		}
	}
	return r, nil
}

func newDiagnosis(o Options) (*diagnosis, error) {
	target, err := client.SocketURL(o.URL)
	if err != nil {
		return nil, err
	}
	base, err := client.BaseURL(o.URL)
	if err != nil {
		return nil, err
	}
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	if o.Now == nil {
		o.Now = time.Now
	}
	query := target.Query()
	o.Token = cmp.Or(o.Token, query.Get("token"))
	query.Del("token")
	target.RawQuery = query.Encode()
	d := &diagnosis{Options: o, target: target, base: base, room: roomOf(target.Path), watch: o.Watch}
	if d.watch == nil {
		d.watch = noWatcher{}
	}
	d.http = &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: d.tlsConfig(), DisableKeepAlives: true,
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, // only HTTP/1.1, like WebSocket clients
		},
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return d, nil
}

// tlsConfig returns the configuration of every TLS connection. It offers only HTTP/1.1, as
// WebSocket clients do.
func (d *diagnosis) tlsConfig() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.TLS != nil {
		c = d.TLS.Clone()
	}
	c.NextProtos = []string{"http/1.1"}
	c.Time = d.Now
	return c
}

// runStep runs a step and adds its result to the report. It returns nil if the step
// succeeded or did not apply.
func (d *diagnosis) runStep(ctx context.Context, r *Report, name string, run func(*diagnosis, context.Context) (string, error)) *problem {
	if ctx.Err() != nil {
		return &problem{cause: interrupted, detail: "interrupted before the step " + name}
	}
	d.watch.Start(name)
	began := time.Now()
	detail, err := run(d, ctx)
	if errors.Is(err, errSkipped) {
		return nil
	}
	s := Step{Name: name, OK: err == nil, Detail: detail, MS: float64(time.Since(began).Microseconds()) / 1000}
	var found *problem
	if err != nil {
		var ok bool
		if found, ok = errors.AsType[*problem](err); !ok {
			found = &problem{cause: unexpected, detail: err.Error()}
		}
		if ctx.Err() != nil {
			found = &problem{cause: interrupted, detail: "interrupted while waiting"}
		}
		s.Detail = found.Error()
		if found.ref != "" {
			s.Detail += " (ref " + found.ref + ")"
		}
	}
	s.Detail = logging.Printable(s.Detail, " ")
	r.Steps = append(r.Steps, s)
	d.watch.End(s)
	return found
}

func (d *diagnosis) close() {
	for _, c := range d.sockets {
		closeSocket(c)
	}
}

type noWatcher struct{}

func (noWatcher) Start(string)            {}
func (noWatcher) Progress(string, string) {}
func (noWatcher) End(Step)                {}

// Words of package cause for results that no other word describes.
const (
	interrupted = "interrupted"
	unexpected  = "unexpected_answer"
)
