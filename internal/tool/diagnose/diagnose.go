// Package diagnose walks the way that a client walks, from the name to a message
// through Redis, and stops at what is wrong: it names the cause and the cure. It
// sees what a client sees, and beside it what the ops listeners say. It repairs
// nothing, and leaves nothing behind in a room.
package diagnose

import (
	"github.com/roomspa/roomspa/internal/cause"

	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/roomspa/roomspa/internal/tool/client"
)

// Options says what to diagnose, and as whom. Only URL is needed.
type Options struct {
	// URL is a room's endpoint, /ws/test/ or the server; ws, wss, http or https. The
	// steps of a room need a room, or the two sides of one.
	URL string
	// Token is an access token. It is never shown.
	Token string
	// Identifier and Password sign in, where no token is given.
	Identifier, Password string
	// PeerIdentifier and PeerPassword sign the other side in, where URL names no room:
	// it is then the room of these two.
	PeerIdentifier, PeerPassword string
	// Origin is sent as a browser would for a page of that origin; empty for none.
	Origin string
	// TLS is used for wss; nil for the system's roots.
	TLS *tls.Config
	// Idle is how long a socket is left silent, to measure the time-out of a proxy; 0
	// for not at all.
	Idle time.Duration
	// Ops are the ops listeners of the replicas, as in http://10.0.0.7:9090.
	Ops []string
	// Timeout bounds what one step waits for at a time. 0 means 10 s.
	Timeout time.Duration
	// Now is this machine's clock; nil for time.Now.
	Now func() time.Time
	// Watch is told what goes on; nil for nobody.
	Watch Watcher
}

// A Watcher shows what goes on. Its methods are called one after the other.
type Watcher interface {
	// Began is told that a step begins.
	Began(name string)
	// Waits is told, now and then, what a step waits for.
	Waits(name, what string)
	// Ended is told how a step went.
	Ended(s Step)
}

// A Step is one thing that was tried.
type Step struct {
	Name   string  `json:"name"`
	OK     bool    `json:"ok"`
	Detail string  `json:"detail"`
	MS     float64 `json:"ms"`
}

// A Report is what was found.
type Report struct {
	OK    bool   `json:"ok"`
	Cause string `json:"cause"` // a word of the table in package story; empty where all is well
	Cure  string `json:"cure"`
	Ref   string `json:"ref"` // the server's, of the connection that failed
	Steps []Step `json:"steps"`
}

// A trouble is what a step has found to be wrong.
type trouble struct {
	cause  string
	detail string
	ref    string
	why    string // the cause behind the cause, where it has a cure of its own
}

func (t *trouble) Error() string { return t.cause + ": " + t.detail }

// errNotHere is what a step answers that has nothing to look at.
var errNotHere = errors.New("nothing to look at here")

const defaultTimeout = 10 * time.Second

// A walk is one diagnosis under way, and what was learnt on it.
type walk struct {
	Options
	target *url.URL // of the socket: ws or wss; its query without the token
	base   string   // of the server: http or https, without a slash at the end
	room   string   // the path below /ws/<endpoint>/; empty where no room is meant
	http   *http.Client
	watch  Watcher

	skew    time.Duration  // the server's clock minus ours
	skewed  bool           // skew is known
	sockets []*client.Conn // in the chat, two at most: of different replicas where there are
	before  []inside       // what the ops listeners said at the beginning
}

// steps is the way of a client. The first one that fails ends it.
var steps = []struct {
	name string
	run  func(*walk, context.Context) (detail string, err error)
}{
	{"name", (*walk).lookUp},
	{"tcp", (*walk).connect},
	{"tls", (*walk).encrypt},
	{"http", (*walk).ask},
	{"upgrade", (*walk).upgrade},
	{"echo", (*walk).echo},
	{"clock", (*walk).compareClocks},
	{"sign-in", (*walk).signIn},
	{"token", (*walk).judgeToken},
	{"handshake", (*walk).enter},
	{"replicas", (*walk).spread},
	{"message", (*walk).pass},
	{"location", (*walk).location},
	{"idle", (*walk).idle},
}

// Valid says what is wrong with a URL, before anything is asked for it. It never
// repeats the URL, which may hold a token.
func Valid(rawURL string) error {
	_, err := client.SocketURL(rawURL)
	return err
}

// Run diagnoses. An error is wrong usage; everything else is in the report, also
// what was found until ctx ended.
func Run(ctx context.Context, o Options) (Report, error) {
	w, err := newWalk(o)
	if err != nil {
		return Report{}, err
	}
	defer w.close()
	r := Report{OK: true}
	w.before = w.look(ctx)
	var found *trouble
	for _, s := range steps {
		if found = w.do(ctx, &r, s.name, s.run); found != nil {
			break
		}
	}
	if len(o.Ops) > 0 && (found == nil || found.cause != interrupted) {
		inner := w.do(ctx, &r, "inside", func(w *walk, ctx context.Context) (string, error) { return w.inside(ctx, found) })
		found = deeper(found, inner)
	}
	if found != nil {
		r.OK, r.Cause, r.Ref = false, found.cause, found.ref
		r.Cure = cause.Cure(found.cause)
		if found.why != "" {
			r.Cure = cmp.Or(cause.Cure(found.why), r.Cure)
		}
	}
	return r, nil
}

func newWalk(o Options) (*walk, error) {
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
	w := &walk{Options: o, target: target, base: base, room: roomOf(target.Path), watch: o.Watch}
	if w.watch == nil {
		w.watch = nobody{}
	}
	w.http = &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: w.tlsConfig(), DisableKeepAlives: true,
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, // as a WebSocket's client: HTTP/1.1
		},
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

// tlsConfig is what every connection uses: nothing but HTTP/1.1, as WebSocket
// clients offer it.
func (w *walk) tlsConfig() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if w.TLS != nil {
		c = w.TLS.Clone()
	}
	c.NextProtos = []string{"http/1.1"}
	c.Time = w.Now
	return c
}

// do runs a step and writes down how it went.
func (w *walk) do(ctx context.Context, r *Report, name string, run func(*walk, context.Context) (string, error)) *trouble {
	if ctx.Err() != nil {
		return &trouble{cause: interrupted, detail: "interrupted before the step " + name}
	}
	w.watch.Began(name)
	began := time.Now()
	detail, err := run(w, ctx)
	if errors.Is(err, errNotHere) {
		return nil
	}
	s := Step{Name: name, OK: err == nil, Detail: detail, MS: float64(time.Since(began).Microseconds()) / 1000}
	var found *trouble
	if err != nil {
		var ok bool
		if found, ok = errors.AsType[*trouble](err); !ok {
			found = &trouble{cause: unexpected, detail: err.Error()}
		}
		if ctx.Err() != nil {
			found = &trouble{cause: interrupted, detail: "interrupted while waiting"}
		}
		s.Detail = found.Error()
		if found.ref != "" {
			s.Detail += " (ref " + found.ref + ")"
		}
	}
	s.Detail = printable(s.Detail)
	r.Steps = append(r.Steps, s)
	w.watch.Ended(s)
	return found
}

func (w *walk) close() {
	for _, c := range w.sockets {
		bye(c)
	}
}

type nobody struct{}

func (nobody) Began(string)         {}
func (nobody) Waits(string, string) {}
func (nobody) Ended(Step)           {}
