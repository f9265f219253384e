package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/check"
)

// A secrecy is a world whose secrets are all marked, and what is said in it where
// no secret may be: answers, frames, close reasons, errors.
type secrecy struct {
	marks
	*world

	jwtSecret, password string

	said          sync.Map     // text, to where it was said
	lines, tokens atomic.Int64 // that were logged; that were shown in part
	stories       atomic.Int64 // that were told
	explained     atomic.Int64 // by the command itself, for a machine
}

func newSecrecy(t *testing.T) *secrecy {
	t.Helper()
	x := &secrecy{world: newWorld(t)}
	x.program = build(t, "../..") // the race detector makes a password take ten times as long
	x.jwtSecret, x.password = x.word("a JWT secret"), x.secret("a password")
	var err error
	if x.keys, err = auth.NewKeys([]string{x.jwtSecret}); err != nil {
		t.Fatal(err)
	}
	for what, address := range map[string]string{"the database's password": x.databaseURL, "the Redis password": x.redisURL} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		secret, _ := u.User.Password() // servers that are given from outside may have none
		x.add(what, secret)
	}
	x.setPassword(t, x.password, customer, therapist, inactive)
	return x
}

// open is the settings of every replica here: all is logged, and nobody is told to
// come back.
func (x *secrecy) open(o *app.Options) {
	o.JWTSecrets = []string{x.jwtSecret, "old=" + x.word("a former JWT secret")}
	o.LogLevel = "debug"
	o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount = 1000, 1000, 1000
}

// replica starts one; let done end it.
func (x *secrecy) replica(t *testing.T, w *world, name string, edit ...func(*app.Options)) *replica {
	t.Helper()
	return w.start(t, name, append([]func(*app.Options){x.open}, edit...)...)
}

// pages are what the ops listener shows.
var pages = []string{"/livez", "/readyz", "/metrics", "/nowhere", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2"}

// done ends a replica, and takes down all that it has shown and logged.
func (x *secrecy) done(t *testing.T, r *replica) {
	t.Helper()
	for _, page := range pages {
		_, header, body := get(t, "http://"+r.OpsAddr()+page)
		if strings.Contains(string(body), os.Args[0]) {
			t.Errorf("%s shows the command line: %s", page, body)
		}
		x.say(page, fmt.Sprint(header)+string(body))
	}
	x.tellsStories(t, r)
	if err := r.stop(t.Context()); err != nil {
		t.Error(err)
	}
	for _, log := range []string{r.text.String(), r.json.String()} {
		x.lines.Add(int64(strings.Count(log, "\n")))
		x.tokens.Add(int64(strings.Count(log, "Token found: eyJ")))
		x.say("a log", log)
	}
}

// say takes down what was said.
func (x *secrecy) say(where, text string) { x.said.Store(text, where) }

// access mints a token, which is marked.
func (x *secrecy) access(t *testing.T, user room.UserID) string {
	t.Helper()
	return x.jwt("an access token", x.world.token(t, user))
}

// ask sends a request and takes down the answer, without the members that are
// meant for whoever asked.
func (x *secrecy) ask(t *testing.T, r *replica, method, path, token, body string, own ...string) m {
	t.Helper()
	res, text := r.request(t, method, path, token, body, "Content-Type", "application/json")
	where := "the answer to " + method + " " + path
	x.say("the header of "+where, fmt.Sprint(res.Header))
	var answer m
	if json.Unmarshal(text, &answer) != nil {
		x.say(where, string(text))
		return nil
	}
	x.say(where, strip(t, string(text), own...))
	return answer
}

// strip returns JSON without some members, wherever they are.
func strip(t *testing.T, text string, members ...string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Errorf("%v: %s", err, text)
		return text
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case m:
			for _, name := range members {
				delete(v, name)
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(v)
	stripped, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return string(stripped)
}

// signIn gets tokens, and marks them.
func (x *secrecy) signIn(t *testing.T, r *replica, path string, body m) (access, refresh string) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	a := x.ask(t, r, http.MethodPost, path, "", string(text), "access_token", "refresh_token")
	access, _ = a["access_token"].(string)
	refresh, _ = a["refresh_token"].(string)
	if access == "" || refresh == "" {
		t.Fatalf("POST %s: %v", path, a)
	}
	return x.jwt("an access token", access), x.jwt("a refresh token", refresh)
}

func (x *secrecy) ticket(t *testing.T, r *replica, token string) string {
	t.Helper()
	text, _ := x.ask(t, r, http.MethodPost, "/api/ticket/", token, "", "ticket")["ticket"].(string)
	if text == "" {
		t.Fatal("no ticket")
	}
	return x.add("a ticket", text)
}

// dial connects, and takes down all that the server says: the header of its answer,
// each frame without what is meant for the members of the room, and the Close. It
// returns nil where there is no socket.
func (x *secrecy) dial(t *testing.T, r *replica, d dial) *socket {
	t.Helper()
	s, res, err := r.try(t, d)
	where := "the answer to a handshake of " + d.path
	if res != nil {
		x.say("the header of "+where, fmt.Sprint(res.Header))
	}
	if err != nil {
		if res != nil {
			body, _ := io.ReadAll(res.Body) // it is in memory
			x.say(where, string(body))
		}
		return nil
	}
	heard := &socket{conn: s.conn, header: s.header, frames: make(chan got, cap(s.frames))}
	go func() {
		defer close(heard.frames)
		for g := range s.frames {
			x.frame(t, d.path, g)
			heard.frames <- g
		}
		heard.end = s.end
		x.say("the end of a socket", s.end.Error())
	}()
	return heard
}

func (x *secrecy) frame(t *testing.T, path string, g got) {
	switch text := g.raw; {
	case strings.HasPrefix(path, "/ws/test"): // an echo
	case g.Type == "chat_message", g.Type == "history":
		x.say("a frame of type "+g.Type, strip(t, text, "message"))
	case g.Type == "location_update":
		x.say("a frame of type "+g.Type, strip(t, text, "latitude"))
	default:
		x.say("a frame of type "+g.Type, text)
	}
}

// refused connects and waits for the end.
func (x *secrecy) refused(t *testing.T, r *replica, d dial) {
	t.Helper()
	if s := x.dial(t, r, d); s != nil {
		s.closed(t)
	}
}

// cannotStart takes down why a replica with such options cannot, and what a check
// of them finds.
func (x *secrecy) cannotStart(t *testing.T, edit func(*app.Options)) {
	t.Helper()
	o := x.options(t, x.open, edit)
	a, err := app.New(o, "test", slog.New(slog.DiscardHandler))
	if err == nil {
		t.Fatalf("it can start: %v", a)
	}
	x.say("why a replica cannot start", err.Error())
	x.check(t, o)
}

func (x *secrecy) check(t *testing.T, o app.Options) {
	t.Helper()
	results, _ := check.Run(t.Context(), o, check.Selection{})
	text, err := json.Marshal(results)
	if err != nil {
		t.Fatal(err)
	}
	x.say("what a check has found", string(text))
}

// judge looks for every secret in all that was logged, shown and said.
func (x *secrecy) judge(t *testing.T) {
	t.Helper()
	texts := 0
	x.said.Range(func(text, where any) bool {
		texts++
		for _, found := range x.find(text.(string)) {
			t.Errorf("in %s is a piece of %s", where, found)
		}
		return true
	})
	t.Logf("%d secrets looked for in %d lines and in %d texts; %d tokens were shown in part", x.secrets, x.lines.Load(), texts, x.tokens.Load())
	if x.lines.Load() < 3000 || texts < 300 || x.tokens.Load() < 200 || x.secrets < 100 {
		t.Error("too few to say anything")
	}
}
