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
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/check"
)

// secrecy is a world whose secrets are all marked, and a record of what it wrote where no secret may be: logs, answers,
// frames, close reasons, errors.
type secrecy struct {
	marks
	*world.World

	password string

	texts         sync.Map     // from a text to where it was written
	lines, tokens atomic.Int64 // logged lines; tokens that were logged in part
	stories       atomic.Int64 // printed stories
	explained     atomic.Int64 // stories that the explain command printed as JSON
}

func newSecrecy(t *testing.T) *secrecy {
	t.Helper()
	x := &secrecy{World: world.New(t)}
	x.SetSecret(t, x.word("a JWT secret"))
	x.password = x.secret("a password")
	for what, address := range map[string]string{"the database's password": x.DatabaseURL, "the Redis password": x.RedisURL} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		secret, _ := u.User.Password() // servers that are given from outside may have none
		x.add(what, secret)
	}
	x.SetPassword(t, x.password, world.Customer, world.Therapist, world.Inactive)
	return x
}

// settings makes every replica log everything and refuse no sign-in for its rate.
func (x *secrecy) settings(o *app.Options) {
	o.JWTSecrets = []string{x.Secret, x.word("a former JWT secret")}
	o.LogLevel = "debug"
	o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount = 1000, 1000, 1000
}

// start starts a replica; finish ends it.
func (x *secrecy) start(t *testing.T, w *world.World, name string, edit ...func(*app.Options)) *world.Replica {
	t.Helper()
	return w.Start(t, name, append([]func(*app.Options){x.settings}, edit...)...)
}

// pages are pages of the ops listener.
var pages = []string{"/livez", "/readyz", "/metrics", "/nowhere", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2"}

// finish records the pages and the log of a replica, and ends it.
func (x *secrecy) finish(t *testing.T, r *world.Replica) {
	t.Helper()
	for _, page := range pages {
		_, header, body := world.Get(t, r.Ops(page))
		if strings.Contains(string(body), os.Args[0]) {
			t.Errorf("%s shows the command line: %s", page, body)
		}
		x.record(page, fmt.Sprint(header)+string(body))
	}
	x.recordStories(t, r)
	if err := r.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for _, log := range []string{r.Log.String(), r.JSONLog.String()} {
		x.lines.Add(int64(strings.Count(log, "\n")))
		x.tokens.Add(int64(strings.Count(log, "Token found: eyJ")))
		x.record("a log", log)
	}
}

// record keeps a text for judge.
func (x *secrecy) record(where, text string) { x.texts.Store(text, where) }

// accessToken mints a token and marks it.
func (x *secrecy) accessToken(t *testing.T, user room.UserID) string {
	t.Helper()
	return x.jwt("an access token", x.World.Token(t, user))
}

// request sends a request and records the answer, without the members that only the asker gets.
func (x *secrecy) request(t *testing.T, r *world.Replica, method, path, token, body string, own ...string) m {
	t.Helper()
	res, text := r.Request(t, method, path, token, body, "Content-Type", "application/json")
	where := "the answer to " + method + " " + path
	x.record("the header of "+where, fmt.Sprint(res.Header))
	var answer m
	if json.Unmarshal(text, &answer) != nil {
		x.record(where, string(text))
		return nil
	}
	x.record(where, strip(t, string(text), own...))
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
func (x *secrecy) signIn(t *testing.T, r *world.Replica, path string, body m) (access, refresh string) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	a := x.request(t, r, http.MethodPost, path, "", string(text), "access_token", "refresh_token")
	access, _ = a["access_token"].(string)
	refresh, _ = a["refresh_token"].(string)
	if access == "" || refresh == "" {
		t.Fatalf("POST %s: %v", path, a)
	}
	return x.jwt("an access token", access), x.jwt("a refresh token", refresh)
}

func (x *secrecy) issueTicket(t *testing.T, r *world.Replica, token string) string {
	t.Helper()
	text, _ := x.request(t, r, http.MethodPost, "/api/ticket/", token, "", "ticket")["ticket"].(string)
	if text == "" {
		t.Fatal("no ticket")
	}
	return x.add("a ticket", text)
}

// dial connects and records everything that the server sends: the header of its answer, each frame without what only the
// members of the room get, and the Close. It returns nil where the server refuses before the upgrade.
func (x *secrecy) dial(t *testing.T, r *world.Replica, h world.Handshake) *world.Socket {
	t.Helper()
	h.Tap = func(f world.Frame, end error) {
		if end != nil {
			x.record("the end of a socket", end.Error())
			return
		}
		x.recordFrame(t, h.Path, f)
	}
	s, res, err := r.Dial(t, h)
	where := "the answer to a handshake of " + h.Path
	if res != nil {
		x.record("the header of "+where, fmt.Sprint(res.Header))
	}
	if err != nil {
		if res != nil {
			body, _ := io.ReadAll(res.Body) // it is in memory
			x.record(where, string(body))
		}
		return nil
	}
	return s
}

func (x *secrecy) recordFrame(t *testing.T, path string, f world.Frame) {
	t.Helper()
	switch text := f.Raw; {
	case strings.HasPrefix(path, "/ws/test"): // an echo
	case f.Type == "chat_message", f.Type == "history":
		x.record("a frame of type "+f.Type, strip(t, text, "message"))
	case f.Type == "location_update":
		x.record("a frame of type "+f.Type, strip(t, text, "latitude"))
	default:
		x.record("a frame of type "+f.Type, text)
	}
}

// connectAndWait connects and waits for the Close.
func (x *secrecy) connectAndWait(t *testing.T, r *world.Replica, d world.Handshake) {
	t.Helper()
	if s := x.dial(t, r, d); s != nil {
		s.WaitClose(t)
	}
}

// expectStartFails records why a replica with such options does not start, and what a check of them finds.
func (x *secrecy) expectStartFails(t *testing.T, edit func(*app.Options)) {
	t.Helper()
	o := x.Options(t, x.settings, edit)
	a, err := app.New(o, "test", slog.New(slog.DiscardHandler))
	if err == nil {
		t.Fatalf("it can start: %v", a)
	}
	x.record("why a replica cannot start", err.Error())
	x.recordCheck(t, o)
}

func (x *secrecy) recordCheck(t *testing.T, o app.Options) {
	t.Helper()
	results, _ := check.Run(t.Context(), o, check.Selection{})
	text, err := json.Marshal(results)
	if err != nil {
		t.Fatal(err)
	}
	x.record("what a check has found", string(text))
}

// judge looks for every secret in everything that was recorded.
func (x *secrecy) judge(t *testing.T) {
	t.Helper()
	texts := 0
	x.texts.Range(func(text, where any) bool {
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
