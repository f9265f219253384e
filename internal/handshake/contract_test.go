package handshake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/handshake"
	"github.com/roomspa/roomspa/internal/handshake/testdata/inbox"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

// burst is the number of frames that a client may send.
const burst = 10

// A surrounding is what the handshake gets in place of the stores and the channel
// layer.
type surrounding struct {
	url  string
	keys *auth.Keys
	log  lines

	joinErr, loadErr error

	mu      sync.Mutex
	groups  map[string][]func([]byte)
	stories []*story.Story
}

// serve wires the inbox: everything else is what any endpoint gets.
func serve(t *testing.T) *surrounding {
	t.Helper()
	keys, err := auth.NewKeys([]string{strings.Repeat("s", 32)})
	if err != nil {
		t.Fatal(err)
	}
	s := &surrounding{keys: keys, groups: map[string][]func([]byte){}}
	reg := prometheus.NewRegistry()
	sockets := session.NewRegistry(t.Context(), session.Options{
		MaxMessageBytes: 1024, MessageRate: 0.001, MessageBurst: burst, Renew: s.renew,
		PingInterval: time.Hour, PongTimeout: time.Hour, WriteTimeout: time.Minute, SoftLimit: 100, HardLimit: 100,
	}, reg)
	h := handshake.New(t.Context(), handshake.Options{Replica: "a", MaxHandshakes: 4, Stories: s}, sockets, keys, s, []endpoint.Endpoint{
		inbox.Endpoint(s.join, s.load),
	}, slog.New(slog.NewTextHandler(&s.log, nil)), reg)
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		sockets.Drain(context.WithoutCancel(t.Context()), time.Second)
		server.Close()
	})
	s.url = server.URL
	return s
}

func (s *surrounding) Users(_ context.Context, ids []room.UserID) (map[room.UserID]*room.User, error) {
	found := map[room.UserID]*room.User{}
	for _, id := range ids {
		found[id] = &room.User{ID: id, Email: "user@example.com", Role: room.Therapist, Active: true}
	}
	return found, nil
}

func (s *surrounding) join(_ context.Context, group string, deliver func([]byte), _ func()) (func(), error) {
	if s.joinErr != nil {
		return nil, s.joinErr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[group] = append(s.groups[group], deliver)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.groups[group] = s.groups[group][1:]
	}, nil
}

func (s *surrounding) load(context.Context) error { return s.loadErr }

func (s *surrounding) publish(group, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, deliver := range s.groups[group] {
		deliver([]byte(text))
	}
}

func (s *surrounding) members(group string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.groups[group])
}

func (s *surrounding) renew(token string, former session.Token) (session.Token, error) {
	if token != "fresh" {
		return session.Token{}, &room.Invalid{Code: "token_invalid", Field: "token", Detail: "not fresh"}
	}
	former.ExpiresAt = former.ExpiresAt.Add(time.Hour)
	return former, nil
}

func (s *surrounding) RecordFailed(st *story.Story)           { s.keep(st) }
func (s *surrounding) RecordAccepted(st *story.Story)         { s.keep(st) }
func (s *surrounding) LinkPrevious(*story.Story) *story.Story { return nil }
func (s *surrounding) keep(st *story.Story) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stories = append(s.stories, st)
}

// steps returns the steps of the last story, and why it ended.
func (s *surrounding) steps() (names []string, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.stories[len(s.stories)-1]
	for _, step := range last.Steps {
		names = append(names, step.Name)
	}
	return names, last.Reason
}

// A client is one connection.
type client struct {
	t    *testing.T
	conn *websocket.Conn
	ref  string
}

// connect opens the path as a user; as nobody if the id is 0.
func (s *surrounding) connect(t *testing.T, path string, user room.UserID) *client {
	t.Helper()
	header := http.Header{}
	if user != 0 {
		token, _, err := s.keys.Mint(auth.Access, user, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		header.Set("Authorization", "Bearer "+token)
	}
	conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+path, header)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn, ref: res.Header.Get("Roomspa-Ref")}
}

// next returns the next frame or close in short: "error bad_json", "close 4001
// token_missing".
func (c *client) next() string {
	c.t.Helper()
	_, data, err := c.conn.ReadMessage()
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
		reason, ref, _ := strings.Cut(closed.Text, " ref=")
		if ref != c.ref {
			c.t.Errorf("the close has the ref %q, the handshake %q", ref, c.ref)
		}
		return fmt.Sprintf("close %d %s", closed.Code, reason)
	} else if err != nil {
		c.t.Fatal(err)
	}
	var f struct{ Type, Code, Ref string }
	if err := json.Unmarshal(data, &f); err != nil {
		c.t.Fatalf("frame %s: %v", data, err)
	}
	if f.Type == "error" && f.Ref != c.ref {
		c.t.Errorf("the error frame has the ref %q, the handshake %q", f.Ref, c.ref)
	}
	return strings.TrimSpace(f.Type + " " + f.Code)
}

func (c *client) want(frames ...string) {
	c.t.Helper()
	for _, want := range frames {
		if got := c.next(); got != want {
			c.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func (c *client) send(kind int, text string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(kind, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// An endpoint without a room takes the same steps as a chat, by its declaration alone.
func TestAnEndpointWithoutARoomOpensLikeAnyOther(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.connect(t, "/ws/inbox/?text=1", 7)
	c.want("connected")
	var got []string
	for line := range strings.Lines(s.log.String()) {
		_, msg, _ := strings.Cut(line, "msg=\"")
		msg, _, _ = strings.Cut(msg, "\"")
		got = append(got, msg)
	}
	want := []string{
		"[JWTAuthMiddleware] Processing connection for path: /ws/inbox/",
		"[JWTAuthMiddleware] Token found: eyJhbGciOiJIUzI1NiI...",
		"[JWTAuthMiddleware] Decoded token payload, user_id: 7",
		"[JWTAuthMiddleware] User found: 7 - user@example.com (role: therapist)",
		"[JWTAuthMiddleware] User authenticated: 7 (user@example.com)",
		"[InboxConsumer] Connection attempt started",
		"[InboxConsumer] User authenticated: True, User: user@example.com",
		"[InboxConsumer] Room group name: inbox_7",
		"[InboxConsumer] Added to channel group successfully",
		"[InboxConsumer] Connection accepted for user 7 (role: therapist)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log lines (-want +got):\n%s", diff)
	}
	wantSteps := []string{"received", "token found", "token decoded", "user loaded", "authorized", "group joined", "accepted", "inbox loaded"}
	if steps, reason := s.steps(); reason != "" || !slices.Equal(steps, wantSteps) {
		t.Errorf("the story has the steps %q and ends with %q", steps, reason)
	}
}

func TestAnEndpointWithoutARoomHasAGroupPerUser(t *testing.T) {
	t.Parallel()
	s := serve(t)
	phone, laptop, other := s.connect(t, "/ws/inbox/", 7), s.connect(t, "/ws/inbox", 7), s.connect(t, "/ws/inbox/", 8)
	for _, c := range []*client{phone, laptop, other} {
		c.want("connected")
	}
	s.publish("inbox_7", `{"type":"for 7"}`)
	s.publish("inbox_8", `{"type":"for 8"}`)
	phone.want("for 7")
	laptop.want("for 7")
	other.want("for 8")
	other.send(websocket.CloseMessage, "")
	other.want("close 1000 bye")
	deadline := time.Now().Add(time.Minute)
	for s.members("inbox_8") > 0 {
		if time.Now().After(deadline) {
			t.Fatal("a socket that is closed did not leave its group")
		}
		runtime.Gosched()
	}
}

func TestAnEndpointAnswersWhatAllEndpointsAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.connect(t, "/ws/inbox/", 7)
	c.want("connected")
	for _, x := range []struct{ frame, answer string }{
		{`{"type":"ping"}`, "pong"},
		{`{"type":"auth","token":"stale"}`, "error token_invalid"},
		{`{"type":"auth","token":"fresh"}`, ""},
		{`{"type":"auth"}`, "error token_missing"},
		{`{"type":"shout"}`, "error unknown_type"},
		{`{"message":"hi"}`, "error unknown_type"},
		{`hello`, "error bad_json"},
	} {
		c.send(websocket.TextMessage, x.frame)
		if x.answer != "" {
			c.want(x.answer)
		}
	}
	for range burst - 7 {
		c.send(websocket.TextMessage, `{"type":"ping"}`)
		c.want("pong")
	}
	if log := s.log.String(); !strings.Contains(log, "[InboxConsumer] Token renewed") || !strings.Contains(log, "[InboxConsumer] Frame refused: unknown_type") {
		t.Errorf("the log lacks a line:\n%s", log)
	}
	for kind, want := range map[int]string{websocket.BinaryMessage: "text_only", websocket.TextMessage: "invalid_utf8"} {
		c := s.connect(t, "/ws/inbox/", 7)
		c.want("connected")
		c.send(kind, "\xff")
		code := map[string]int{"text_only": 1003, "invalid_utf8": 1007}[want]
		c.want("error "+want, fmt.Sprintf("close %d %s", code, want))
	}
}

func TestAnEndpointWithoutARoomRefusesLikeAnyOther(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path       string
		user       room.UserID
		join, load error
		want, step string
	}{
		"no token":                     {path: "/ws/inbox/", want: "4001 token_missing", step: "token found"},
		"a parameter out of range":     {path: "/ws/inbox/?text=2", user: 7, want: "4000 bad_text", step: "authorized"},
		"the channel layer is away":    {path: "/ws/inbox/", user: 7, join: room.ErrUnavailable, want: "1011 channel_layer_unavailable", step: "group joined"},
		"the database is away":         {path: "/ws/inbox/", user: 7, load: room.ErrUnavailable, want: "1011 database_unavailable", step: "inbox loaded"},
		"an error that nobody foresaw": {path: "/ws/inbox/", user: 7, load: errors.New("odd"), want: "1011 internal", step: "inbox loaded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			s.joinErr, s.loadErr = c.join, c.load
			_, reason, _ := strings.Cut(c.want, " ")
			s.connect(t, c.path, c.user).want("error "+reason, "close "+c.want)
			if steps, why := s.steps(); why != reason || steps[len(steps)-1] != c.step {
				t.Errorf("the story ends at %q with %q", steps, why)
			}
		})
	}
}

func TestAPathBelowAnEndpointWithoutIDsDoesNotExist(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, path := range []string{"/ws/inbox/7/", "/ws/inbox//", "/ws/chat/1/2/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var body struct{ Paths []string }
		err = json.NewDecoder(res.Body).Decode(&body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusNotFound || !slices.Equal(body.Paths, []string{"/ws/inbox/"}) {
			t.Errorf("%s: HTTP %d, paths %q (%v)", path, res.StatusCode, body.Paths, err)
		}
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
