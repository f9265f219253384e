package handshake_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// volatile is what differs from run to run.
var volatile = []struct {
	form *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:<port>"},
	{regexp.MustCompile(`((?:took|age|idle)(?:=|":))[0-9a-zµ.]+`), "$1<duration>"},
	{regexp.MustCompile(`(expired )[0-9hms]+( ago)`), "$1<duration>$2"},
	{regexp.MustCompile(`(its nbf, )[0-9hms]+( ahead)`), "$1<duration>$2"},
	{regexp.MustCompile(`(within )[0-9]+(\.[0-9]+)?m?s`), "$1<duration>"},
	{regexp.MustCompile(`("?(?:sent|received)_bytes"?[=:])\d+`), "$1<bytes>"},
	{regexp.MustCompile(`: (?:subscribe|publish)(?: and publish)?: .*?("| ref=)`), ": <what Redis did>$1"},
	{regexp.MustCompile(`cause(=|":")redis_[a-z_]+`), "cause${1}redis_<what it did>"},
}

// maskVolatile replaces what differs from run to run.
func maskVolatile(lines, ref string) string {
	lines = strings.ReplaceAll(lines, ref, "<ref>")
	for _, v := range volatile {
		lines = v.form.ReplaceAllString(lines, v.with)
	}
	return lines
}

// A scene is one connection whose log lines are compared.
type scene struct {
	name string
	user room.UserID     // whose token is sent; 0: only what dial has
	dial world.Handshake // the path is the room of customer 1 and therapist 2 by default
	// play runs once the socket is open. Without one the scene waits for the end of the socket.
	play    func(t *testing.T, r *world.Replica, s *world.Socket)
	replica *world.Replica // nil: the ordinary one
	// before and after run around the scene.
	before, after func()
}

func TestGoldenTranscripts(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"chat", "location", "test"} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			w := world.New(t)
			far := w.BehindProxies(t)
			r, broken := w.Ready(t, "a"), far.Ready(t, "a")
			busy := w.Ready(t, "a", func(o *app.Options) { o.SoftLimit, o.HardLimit = 1, 5 })
			busy.Connect(t, world.Handshake{Path: "/ws/test/"}) // takes the only place
			discreet := w.Ready(t, "a", func(o *app.Options) { o.LogMask = true })

			var scenes []scene
			switch endpoint {
			case "test":
				scenes = testScenes()
			default:
				scenes = roomScenes(t, w, endpoint)
				scenes = append(scenes,
					scene{name: "too many sockets", user: world.Customer, replica: busy},
					scene{name: "personal data masked", user: world.Customer, play: goodbye, replica: discreet},
					scene{
						name: "the database fails while the user is loaded", user: world.Customer,
						before: func() { w.Exec(t, "ALTER TABLE roomspa.users RENAME TO gone") },
						after:  func() { w.Exec(t, "ALTER TABLE roomspa.gone RENAME TO users") },
					},
					scene{
						name: "the channel layer fails", user: world.Customer, replica: broken,
						before: func() { far.ToRedis.Cut(); broken.WaitUnready(t, "channel_layer") },
						after:  func() { far.ToRedis.Heal(); broken.WaitReady(t) },
					})
				if endpoint == "chat" {
					scenes = append(scenes, scene{
						name: "the database fails while the conversation is loaded", user: world.Customer,
						before: func() { w.Exec(t, "ALTER TABLE roomspa.conversations RENAME TO gone") },
						after:  func() { w.Exec(t, "ALTER TABLE roomspa.gone RENAME TO conversations") },
					})
				}
			}
			var text, asJSON strings.Builder
			for _, sc := range scenes {
				lines, objects := sc.run(t, r, "/ws/"+endpoint+"/1/2/")
				text.WriteString("== " + sc.name + "\n" + lines + "\n")
				asJSON.WriteString("== " + sc.name + "\n" + objects + "\n")
			}
			world.Golden(t, "testdata/"+endpoint+".log", text.String())
			world.Golden(t, "testdata/"+endpoint+".json.log", asJSON.String())
		})
	}
}

func (sc scene) run(t *testing.T, r *world.Replica, path string) (text, asJSON string) {
	t.Helper()
	if sc.replica != nil {
		r = sc.replica
	}
	if sc.before != nil {
		sc.before()
		defer sc.after()
	}
	d := sc.dial
	if d.Path == "" {
		d.Path = path
	}
	if sc.user != 0 {
		d.Subprotocols = []string{"bearer", r.World.Token(t, sc.user)}
	}
	s, res, err := r.Dial(t, d)
	if err != nil { // refused before the upgrade
		if res == nil {
			t.Fatalf("%s: %v", sc.name, err)
		}
		ref := res.Header.Get("Roomspa-Ref")
		return maskVolatile(r.Log.About(ref), ref), maskVolatile(r.JSONLog.About(ref), ref)
	}
	if sc.play != nil {
		sc.play(t, r, s)
	} else {
		s.WaitClose(t)
	}
	r.WaitDisconnected(t, s)
	ref := s.Ref()
	return maskVolatile(r.Log.About(ref), ref), maskVolatile(r.JSONLog.About(ref), ref)
}

// goodbye closes in order.
func goodbye(t *testing.T, _ *world.Replica, s *world.Socket) {
	t.Helper()
	s.Next(t)
	_ = s.Conn.Close(websocket.StatusNormalClosure, "")
}

// after sends frames, waits after each for the answer of the type that follows it, and closes in order.
func after(frames ...string) func(*testing.T, *world.Replica, *world.Socket) {
	return func(t *testing.T, r *world.Replica, s *world.Socket) {
		t.Helper()
		s.Next(t)
		for i := 0; i < len(frames); i += 2 {
			s.Send(t, frames[i])
			s.Find(t, frames[i+1])
		}
		if kind := frames[1]; kind != "error" { // its last line is logged after the answer
			world.Eventually(t, "it is published", func() (bool, any) {
				lines := r.JSONLog.About(s.Ref()) // it is written after the text
				return strings.Contains(lines, "Published to group"), lines
			})
			s.Send(t, `{"type":"ping"}`)
			s.Find(t, "pong") // so that the ack has come too
		}
		_ = s.Conn.Close(websocket.StatusNormalClosure, "")
	}
}

func roomScenes(t *testing.T, w *world.World, endpoint string) []scene {
	t.Helper()
	path := "/ws/" + endpoint + "/1/2/"
	query := func(token string) world.Handshake {
		return world.Handshake{Path: path, Query: url.Values{"token": {token}}}
	}
	claimed := func(changed m) world.Handshake { return query(world.Sign(t, changed)) }
	at := func(below string) world.Handshake { return world.Handshake{Path: "/ws/" + endpoint + below} }
	list := []scene{
		{name: "good, and new", user: world.Customer, play: goodbye},
		{name: "good, and known", user: world.Therapist, play: goodbye},
		{
			name: "good, by somebody who has lost a socket", user: world.Customer, play: goodbye,
			dial: world.Handshake{Path: path, Query: url.Values{"last_ref": {"0123456789abcdef"}, "last_code": {"1006"}}},
		},
		{name: "a page that is left", user: world.Customer, play: func(t *testing.T, _ *world.Replica, s *world.Socket) {
			t.Helper()
			s.Next(t)
			_ = s.Conn.Close(websocket.StatusGoingAway, "")
		}},
		{name: "no token"},
		{name: "garbage", dial: query("correct horse battery staple")},
		{name: "wrong signature", dial: query(world.Forge(t, world.HS256, world.Claims(nil), "another secret that has 32 bytes or more"))},
		{name: "wrong algorithm", dial: query(world.Forge(t, m{"alg": "none", "typ": "JWT"}, world.Claims(nil), world.Secret))},
		{name: "a refresh token", dial: claimed(m{"token_type": "refresh"})},
		{name: "no exp", dial: claimed(m{"exp": nil})},
		{name: "not yet valid", dial: claimed(m{"nbf": world.Ahead()})},
		{name: "no user_id", dial: claimed(m{"user_id": nil})},
		{name: "expired", dial: claimed(m{"exp": time.Now().Unix() - 60})},
		{name: "two tokens", user: world.Customer, dial: query(w.Token(t, world.Therapist))},
		{name: "an unknown user", user: world.Nobody},
		{name: "an inactive user", user: world.Inactive},
		{name: "signed out everywhere", user: world.Revoked},
		{name: "no customer id", dial: at("/"), user: world.Customer},
		{name: "no therapist id", dial: at("/1/"), user: world.Customer},
		{name: "a bad id", dial: at("/x/2/"), user: world.Customer},
		{name: "somebody else's room", dial: at("/3/2/"), user: world.Customer},
		{name: "somebody else's room, by a therapist", dial: at("/1/4/"), user: world.Therapist},
		{name: "the other side", dial: at("/2/4/"), user: world.Therapist},
		{name: "no such therapist", dial: at("/1/99/"), user: world.Customer},
		{name: "no such customer", dial: at("/99/2/"), user: world.Therapist},
		{name: "no such path", dial: at("/1/2/3/"), user: world.Customer},
		{name: "a foreign origin", dial: world.Handshake{Path: path, Header: map[string][]string{"Origin": {"https://evil.example"}}}, user: world.Customer},
		{name: "a binary frame", user: world.Customer, play: func(t *testing.T, _ *world.Replica, s *world.Socket) {
			t.Helper()
			s.Next(t)
			s.Write(t, websocket.MessageBinary, []byte("x"))
			s.WaitClose(t)
		}},
	}
	if endpoint == "location" {
		return append(list,
			scene{name: "a position", user: world.Therapist, play: after(`{"latitude":1,"longitude":2}`, "location_update")},
			scene{name: "a position out of range", user: world.Therapist, play: after(`{"latitude":91,"longitude":2}`, "error")})
	}
	return append(list,
		scene{name: "a bad since", dial: world.Handshake{Path: path, Query: url.Values{"since": {"x"}}}, user: world.Customer},
		scene{name: "a message", user: world.Customer, play: after(`{"message":"grüße","client_message_id":"1"}`, "chat_message")},
		scene{name: "the same message again", user: world.Customer, play: after(`{"message":"grüße","client_message_id":"1"}`, "ack")},
		scene{name: "an empty message", user: world.Customer, play: after(`{"message":" "}`, "error")},
		scene{name: "a frame that is not JSON", user: world.Customer, play: after(`hello`, "error")})
}

func testScenes() []scene {
	return []scene{
		{name: "good", dial: world.Handshake{Path: "/ws/test/", Query: url.Values{"greet": {"1"}}}, play: goodbye},
		{name: "closed as asked", dial: world.Handshake{Path: "/ws/test/", Query: url.Values{"close": {"4001"}}}},
		{name: "a bad close code", dial: world.Handshake{Path: "/ws/test/", Query: url.Values{"close": {"1006"}}}},
		{name: "a bad ping", dial: world.Handshake{Path: "/ws/test/", Query: url.Values{"ping": {"on"}}}},
		{name: "no such path", dial: world.Handshake{Path: "/ws/tests/"}},
		{name: "a foreign origin", dial: world.Handshake{Path: "/ws/test/", Header: map[string][]string{"Origin": {"https://evil.example"}}}},
		{name: "not UTF-8", dial: world.Handshake{Path: "/ws/test/"}, play: func(t *testing.T, _ *world.Replica, s *world.Socket) {
			t.Helper()
			s.Write(t, websocket.MessageText, []byte("\xff"))
			s.WaitClose(t)
		}},
		{name: "a connection that is lost", dial: world.Handshake{Path: "/ws/test/"}, play: func(_ *testing.T, _ *world.Replica, s *world.Socket) { _ = s.Conn.CloseNow() }},
	}
}

// The lines of the contract, word for word and in order.
func TestAGoodHandshakesLinesAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	contract := strings.Split(`[JWTAuthMiddleware] Processing connection for path: /ws/chat/1/2/
[JWTAuthMiddleware] Token found: eyJhbGciOiJIUzI1NiI...
[JWTAuthMiddleware] Decoded token payload, user_id: 1
[JWTAuthMiddleware] User found: 1 - user1@example.com (role: customer)
[JWTAuthMiddleware] User authenticated: 1 (user1@example.com)
[ChatConsumer] Connection attempt started
[ChatConsumer] User authenticated: True, User: user1@example.com
[ChatConsumer] Customer ID: 1, Therapist ID: 2
[ChatConsumer] Room group name: chat_1_2
[ChatConsumer] Added to channel group successfully
[ChatConsumer] Connection accepted for user 1 (role: customer)
[ChatConsumer] Getting/creating conversation for customer 1, therapist 2
[ChatConsumer] Created new conversation: <uuid>
[ChatConsumer] Conversation loaded/created: <uuid>`, "\n")
	for round, found := range []string{"Created new", "Found existing"} {
		s := r.Chat(t, world.Customer)
		ref := s.Ref()
		contract[12] = "[ChatConsumer] " + found + " conversation: <uuid>"
		var lines []string
		for l := range strings.Lines(r.JSONLog.About(ref)) {
			var e struct{ Time, Level, Msg, Component, Ref, Replica, Remote string }
			if err := json.Unmarshal([]byte(l), &e); err != nil {
				t.Fatal(err)
			}
			if e.Level != "INFO" || e.Ref != ref || e.Replica != "a" || !strings.HasPrefix(e.Remote, "127.0.0.1:") || !strings.HasPrefix(e.Msg, "["+e.Component+"] ") {
				t.Errorf("every line has a level, the ref, the replica, the remote address and its component: %s", l)
			}
			lines = append(lines, maskVolatile(e.Msg, ref))
		}
		if got, want := strings.Join(lines, "\n"), strings.Join(contract, "\n"); got != want {
			t.Errorf("round %d:\n%s\nwant:\n%s", round, got, want)
		}
	}
}
