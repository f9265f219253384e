package app_test

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
	"github.com/roomspa/roomspa/internal/testkit/netfault"
)

// An ending is the last line of a connection's story.
type ending struct {
	Msg, Code, Reason, By string
	Age                   time.Duration
}

// disconnected waits until the end of a socket is logged.
func (r *replica) disconnected(t testing.TB, s *socket) (e ending) {
	t.Helper()
	ref := s.header.Get("Roomspa-Ref")
	eventually(t, patience, "the end of "+ref+" is logged", func() (bool, any) {
		lines := r.json.about(ref)
		for l := range strings.Lines(lines) {
			if strings.Contains(l, "WebSocket disconnected") {
				return json.Unmarshal([]byte(l), &e) == nil, l
			}
		}
		return false, lines
	})
	return e
}

// What changes from run to run.
var volatile = []struct {
	form *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:<port>"},
	{regexp.MustCompile(`((?:took|age)(?:=|":))[0-9a-zµ.]+`), "$1<duration>"},
	{regexp.MustCompile(`(expired )[0-9hms]+( ago)`), "$1<duration>$2"},
	{regexp.MustCompile(`(its nbf, )[0-9hms]+( ahead)`), "$1<duration>$2"},
	{regexp.MustCompile(`(within )[0-9]+(\.[0-9]+)?m?s`), "$1<duration>"},
	{regexp.MustCompile(`("?(?:sent|received)_bytes"?[=:])\d+`), "$1<bytes>"},
	{regexp.MustCompile(`: (?:subscribe|publish)(?: and publish)?: .*?("| ref=)`), ": <what Redis did>$1"},
	{regexp.MustCompile(`cause(=|":")redis_[a-z_]+`), "cause${1}redis_<what it did>"},
}

func masked(lines, ref string) string {
	lines = strings.ReplaceAll(lines, ref, "<ref>")
	for _, v := range volatile {
		lines = v.form.ReplaceAllString(lines, v.with)
	}
	return lines
}

// A scene is one connection whose lines are written down.
type scene struct {
	name string
	dial             // to the room of customer 1 and therapist 2, unless it says where to
	user room.UserID // whose token is sent; 0 for none but what dial has
	// Play happens once the socket is open; without one it is waited for its end.
	play func(t *testing.T, r *replica, s *socket)
	// Replica plays it, the ordinary one if nil; before and after surround it.
	replica       *replica
	before, after func()
}

func TestGoldenTranscripts(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"chat", "location", "test"} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			// The handshakes that a dependency's failure ends come by a line that can be cut.
			toPostgres, toRedis := netfault.New(t, hostOf(t, w.databaseURL)), netfault.New(t, hostOf(t, w.redisURL))
			weak := *w
			weak.databaseURL, weak.redisURL = toPostgres.URL(w.databaseURL), toRedis.URL(w.redisURL)
			r, broken := w.ready(t, "a"), weak.ready(t, "a")
			busy := w.ready(t, "a", func(o *app.Options) { o.SoftLimit, o.HardLimit = 1, 5 })
			busy.connect(t, dial{path: "/ws/test/"}) // takes the only place
			discreet := w.ready(t, "a", func(o *app.Options) { o.LogMask = true })

			var scenes []scene
			switch endpoint {
			case "test":
				scenes = testScenes()
			default:
				scenes = roomScenes(t, w, endpoint)
				scenes = append(scenes,
					scene{name: "too many sockets", user: customer, replica: busy},
					scene{name: "personal data masked", user: customer, play: goodbye, replica: discreet},
					scene{
						name: "the database fails while the user is loaded", user: customer,
						before: func() { execute(t, w.databaseURL, "ALTER TABLE roomspa.users RENAME TO gone") },
						after:  func() { execute(t, w.databaseURL, "ALTER TABLE roomspa.gone RENAME TO users") },
					},
					scene{
						name: "the channel layer fails", user: customer, replica: broken,
						before: func() { toRedis.Cut(); broken.becomesUnready(t, patience, "channel_layer") },
						after:  func() { toRedis.Heal(); broken.becomesReady(t) },
					})
				if endpoint == "chat" {
					scenes = append(scenes, scene{
						name: "the database fails while the conversation is loaded", user: customer,
						before: func() { execute(t, w.databaseURL, "ALTER TABLE roomspa.conversations RENAME TO gone") },
						after:  func() { execute(t, w.databaseURL, "ALTER TABLE roomspa.gone RENAME TO conversations") },
					})
				}
			}
			var text, asJSON strings.Builder
			for _, sc := range scenes {
				lines, objects := sc.run(t, r, "/ws/"+endpoint+"/1/2/")
				text.WriteString("== " + sc.name + "\n" + lines + "\n")
				asJSON.WriteString("== " + sc.name + "\n" + objects + "\n")
			}
			golden(t, "testdata/"+endpoint+".log", text.String())
			golden(t, "testdata/"+endpoint+".json.log", asJSON.String())
		})
	}
}

func (sc scene) run(t *testing.T, r *replica, path string) (text, asJSON string) {
	t.Helper()
	if sc.replica != nil {
		r = sc.replica
	}
	if sc.before != nil {
		sc.before()
		defer sc.after()
	}
	d := sc.dial
	if d.path == "" {
		d.path = path
	}
	if sc.user != 0 {
		d.subprotocols = []string{"bearer", r.world.token(t, sc.user)}
	}
	s, res, err := r.try(t, d)
	if err != nil { // refused before the upgrade
		if res == nil {
			t.Fatalf("%s: %v", sc.name, err)
		}
		ref := res.Header.Get("Roomspa-Ref")
		return masked(r.text.about(ref), ref), masked(r.json.about(ref), ref)
	}
	if sc.play != nil {
		sc.play(t, r, s)
	} else {
		s.closed(t)
	}
	r.disconnected(t, s)
	ref := s.header.Get("Roomspa-Ref")
	return masked(r.text.about(ref), ref), masked(r.json.about(ref), ref)
}

// goodbye closes as a client does that has had enough.
func goodbye(t *testing.T, _ *replica, s *socket) {
	t.Helper()
	s.next(t)
	_ = s.conn.Close(websocket.StatusNormalClosure, "")
}

// after plays a few frames, each with the type of its last answer, and says goodbye.
func after(frames ...string) func(*testing.T, *replica, *socket) {
	return func(t *testing.T, r *replica, s *socket) {
		t.Helper()
		s.next(t)
		for i := 0; i < len(frames); i += 2 {
			s.send(t, frames[i])
			s.find(t, frames[i+1])
		}
		if kind := frames[1]; kind != "error" { // what it was for has happened, and its last line is there
			eventually(t, patience, "it is published", func() (bool, any) {
				lines := r.json.about(s.header.Get("Roomspa-Ref")) // it is written behind the text
				return strings.Contains(lines, "Published to group"), lines
			})
			s.send(t, `{"type":"ping"}`)
			s.find(t, "pong") // so that the ack has come too
		}
		_ = s.conn.Close(websocket.StatusNormalClosure, "")
	}
}

func roomScenes(t *testing.T, w *world, endpoint string) []scene {
	t.Helper()
	path := "/ws/" + endpoint + "/1/2/"
	query := func(token string) dial { return dial{path: path, query: url.Values{"token": {token}}} }
	claimed := func(changed m) dial { return query(forge(t, hs256, claims(changed), secret)) }
	at := func(below string) dial { return dial{path: "/ws/" + endpoint + below} }
	list := []scene{
		{name: "good, and new", user: customer, play: goodbye},
		{name: "good, and known", user: therapist, play: goodbye},
		{
			name: "good, by somebody who has lost a socket", user: customer, play: goodbye,
			dial: dial{path: path, query: url.Values{"last_ref": {"0123456789abcdef"}, "last_code": {"1006"}}},
		},
		{name: "a page that is left", user: customer, play: func(t *testing.T, _ *replica, s *socket) {
			t.Helper()
			s.next(t)
			_ = s.conn.Close(websocket.StatusGoingAway, "")
		}},
		{name: "no token"},
		{name: "garbage", dial: query("correct horse battery staple")},
		{name: "wrong signature", dial: query(forge(t, hs256, claims(nil), "another secret that has 32 bytes or more"))},
		{name: "wrong algorithm", dial: query(forge(t, m{"alg": "none", "typ": "JWT"}, claims(nil), secret))},
		{name: "a refresh token", dial: claimed(m{"token_type": "refresh"})},
		{name: "no exp", dial: claimed(m{"exp": nil})},
		{name: "not yet valid", dial: claimed(m{"nbf": ahead()})},
		{name: "no user_id", dial: claimed(m{"user_id": nil})},
		{name: "expired", dial: claimed(m{"exp": time.Now().Unix() - 60})},
		{name: "two tokens", user: customer, dial: query(w.token(t, therapist))},
		{name: "an unknown user", user: nobody},
		{name: "an inactive user", user: inactive},
		{name: "signed out everywhere", user: revoked},
		{name: "no customer id", dial: at("/"), user: customer},
		{name: "no therapist id", dial: at("/1/"), user: customer},
		{name: "a bad id", dial: at("/x/2/"), user: customer},
		{name: "somebody else's room", dial: at("/3/2/"), user: customer},
		{name: "somebody else's room, by a therapist", dial: at("/1/4/"), user: therapist},
		{name: "the other side", dial: at("/2/4/"), user: therapist},
		{name: "no such therapist", dial: at("/1/99/"), user: customer},
		{name: "no such customer", dial: at("/99/2/"), user: therapist},
		{name: "no such path", dial: at("/1/2/3/"), user: customer},
		{name: "a foreign origin", dial: dial{path: path, header: map[string][]string{"Origin": {"https://evil.example"}}}, user: customer},
		{name: "a binary frame", user: customer, play: func(t *testing.T, _ *replica, s *socket) {
			t.Helper()
			s.next(t)
			s.write(t, websocket.MessageBinary, []byte("x"))
			s.closed(t)
		}},
	}
	if endpoint == "location" {
		return append(list,
			scene{name: "a position", user: therapist, play: after(`{"latitude":1,"longitude":2}`, "location_update")},
			scene{name: "a position out of range", user: therapist, play: after(`{"latitude":91,"longitude":2}`, "error")})
	}
	return append(list,
		scene{name: "a bad since", dial: dial{path: path, query: url.Values{"since": {"x"}}}, user: customer},
		scene{name: "a message", user: customer, play: after(`{"message":"grüße","client_message_id":"1"}`, "chat_message")},
		scene{name: "the same message again", user: customer, play: after(`{"message":"grüße","client_message_id":"1"}`, "ack")},
		scene{name: "an empty message", user: customer, play: after(`{"message":" "}`, "error")},
		scene{name: "a frame that is not JSON", user: customer, play: after(`hello`, "error")})
}

func testScenes() []scene {
	return []scene{
		{name: "good", dial: dial{path: "/ws/test/", query: url.Values{"greet": {"1"}}}, play: goodbye},
		{name: "closed as asked", dial: dial{path: "/ws/test/", query: url.Values{"close": {"4001"}}}},
		{name: "a bad close code", dial: dial{path: "/ws/test/", query: url.Values{"close": {"1006"}}}},
		{name: "a bad ping", dial: dial{path: "/ws/test/", query: url.Values{"ping": {"on"}}}},
		{name: "no such path", dial: dial{path: "/ws/tests/"}},
		{name: "a foreign origin", dial: dial{path: "/ws/test/", header: map[string][]string{"Origin": {"https://evil.example"}}}},
		{name: "not UTF-8", dial: dial{path: "/ws/test/"}, play: func(t *testing.T, _ *replica, s *socket) {
			t.Helper()
			s.write(t, websocket.MessageText, []byte("\xff"))
			s.closed(t)
		}},
		{name: "a connection that is lost", dial: dial{path: "/ws/test/"}, play: func(_ *testing.T, _ *replica, s *socket) { _ = s.conn.CloseNow() }},
	}
}

// The lines of the contract, word for word and in order.
func TestAGoodHandshakesLinesAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
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
		s := r.chat(t, customer)
		ref := s.header.Get("Roomspa-Ref")
		contract[12] = "[ChatConsumer] " + found + " conversation: <uuid>"
		var lines []string
		for l := range strings.Lines(r.json.about(ref)) {
			var e struct{ Time, Level, Msg, Component, Ref, Replica, Remote string }
			if err := json.Unmarshal([]byte(l), &e); err != nil {
				t.Fatal(err)
			}
			if e.Level != "INFO" || e.Ref != ref || e.Replica != "a" || !strings.HasPrefix(e.Remote, "127.0.0.1:") || !strings.HasPrefix(e.Msg, "["+e.Component+"] ") {
				t.Errorf("every line has a level, the ref, the replica, the remote address and its component: %s", l)
			}
			lines = append(lines, masked(e.Msg, ref))
		}
		if got, want := strings.Join(lines, "\n"), strings.Join(contract, "\n"); got != want {
			t.Errorf("round %d:\n%s\nwant:\n%s", round, got, want)
		}
	}
}
