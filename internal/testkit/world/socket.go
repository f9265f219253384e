package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/room"
)

// patience is how long a test waits for what should come at once. The machine may
// be busy; bounds that are promised are tested with their own values.
const patience = 30 * time.Second

// A got is a frame as a client sees it: every field of every type.
type got struct {
	Type            string `json:"type"`
	Ref             string `json:"ref"`
	ConversationID  string `json:"conversation_id"`
	LastSeq         *int64 `json:"last_seq"`
	FromSeq         int64  `json:"from_seq"`
	ToSeq           int64  `json:"to_seq"`
	Reset           bool   `json:"reset"`
	ID              string `json:"id"`
	Seq             int64  `json:"seq"`
	SenderID        int64  `json:"sender_id"`
	SenderRole      string `json:"sender_role"`
	Message         string `json:"message"`
	ClientMessageID string `json:"client_message_id"`
	Timestamp       string `json:"timestamp"`
	Duplicate       bool   `json:"duplicate"`
	Messages        []got  `json:"messages"`
	HasMore         bool   `json:"has_more"`
	AfterMS         *int64 `json:"after_ms"`
	Reason          string `json:"reason"`
	Code            string `json:"code"`
	Detail          string `json:"detail"`
	Field           string `json:"field"`
	Close           int    `json:"close"`
	Replica         string `json:"replica"`

	UserID     int64    `json:"user_id"`
	Role       string   `json:"role"`
	Latitude   *float64 `json:"latitude"`
	Longitude  *float64 `json:"longitude"`
	Accuracy   *float64 `json:"accuracy"`
	Heading    *float64 `json:"heading"`
	Speed      *float64 `json:"speed"`
	RecordedAt string   `json:"recorded_at"`

	raw    string
	binary bool
}

func (g got) String() string { return fmt.Sprintf("%.300s", g.raw) }

// A socket is one client. Everything that it receives is read at once, as a
// client that is well would.
type socket struct {
	conn   *websocket.Conn
	header http.Header
	frames chan got
	end    error // valid when frames is closed
}

// A dial says how to connect.
type dial struct {
	path         string
	query        url.Values
	header       http.Header
	subprotocols []string
}

// connect opens a socket, or fails the test.
func (r *replica) connect(t testing.TB, d dial) *socket {
	t.Helper()
	s, res, err := r.try(t, d)
	if err != nil {
		status := 0
		if res != nil {
			status = res.StatusCode
		}
		t.Fatalf("connect to %s: %v (status %d)", d.path, err, status)
	}
	return s
}

// try opens a socket, or returns the answer of the server.
func (r *replica) try(t testing.TB, d dial) (*socket, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	address := "ws://" + r.Addr() + d.path
	if d.query != nil {
		address += "?" + d.query.Encode()
	}
	conn, res, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		HTTPClient: plain, HTTPHeader: d.header, Subprotocols: d.subprotocols, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		return nil, res, err
	}
	conn.SetReadLimit(-1)
	s := &socket{conn: conn, header: res.Header, frames: make(chan got, 100_000)}
	done := make(chan struct{})
	reading := context.WithoutCancel(t.Context())
	go func() {
		defer close(done)
		s.read(reading)
	}()
	t.Cleanup(func() {
		_ = conn.CloseNow()
		<-done
	})
	return s, res, nil
}

func (s *socket) read(ctx context.Context) {
	defer close(s.frames)
	for {
		kind, data, err := s.conn.Read(ctx)
		if err != nil {
			s.end = err
			return
		}
		g := got{raw: string(data), binary: kind == websocket.MessageBinary}
		_ = json.Unmarshal(data, &g) // echoes need not be JSON
		s.frames <- g
	}
}

// chat connects a user to the chat of the customer and the therapist, and takes
// the connected frame.
func (r *replica) chat(t testing.TB, user room.UserID) *socket {
	t.Helper()
	s := r.room(t, "/ws/chat/1/2/", user, nil)
	s.want(t, "connected")
	return s
}

// location connects a user to the same two's location, likewise.
func (r *replica) location(t testing.TB, user room.UserID) *socket {
	t.Helper()
	s := r.room(t, "/ws/location/1/2/", user, nil)
	s.want(t, "connected")
	return s
}

// room connects a user with a good token.
func (r *replica) room(t testing.TB, path string, user room.UserID, query url.Values) *socket {
	t.Helper()
	return r.connect(t, dial{path: path, query: query, subprotocols: []string{"bearer", r.world.token(t, user)}})
}

// next returns the next frame.
func (s *socket) next(t testing.TB) got {
	t.Helper()
	select {
	case g, ok := <-s.frames:
		if !ok {
			t.Fatalf("the socket ended: %v", s.end)
		}
		return g
	case <-time.After(patience):
		t.Fatalf("no frame within %v", patience)
		return got{}
	}
}

// want returns the next frame, which must be of a type.
func (s *socket) want(t testing.TB, kind string) got {
	t.Helper()
	g := s.next(t)
	if g.Type != kind {
		t.Fatalf("got %s, want a frame of type %s", g.raw, kind)
	}
	return g
}

// find returns the next frame of a type, whatever comes before it.
func (s *socket) find(t testing.TB, kind string) got {
	t.Helper()
	for {
		if g := s.next(t); g.Type == kind {
			return g
		}
	}
}

// send writes a text frame.
func (s *socket) send(t testing.TB, text string) {
	t.Helper()
	s.write(t, websocket.MessageText, []byte(text))
}

func (s *socket) write(t testing.TB, kind websocket.MessageType, data []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.conn.Write(ctx, kind, data); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// say sends a chat message, without waiting for anything.
func (s *socket) say(t testing.TB, text, id string) {
	t.Helper()
	b, err := json.Marshal(map[string]string{"type": "chat_message", "message": text, "client_message_id": id})
	if err != nil {
		t.Fatal(err)
	}
	s.send(t, string(b))
}

// quiet fails the test if anything but the answer to a ping has come.
func (s *socket) quiet(t testing.TB) {
	t.Helper()
	s.send(t, `{"type":"ping"}`)
	s.want(t, "pong")
}

// closed waits for the server's Close and returns it, and the frames before it.
func (s *socket) closed(t testing.TB) (websocket.CloseError, []got) {
	t.Helper()
	var before []got
	limit := time.After(patience)
	for {
		select {
		case g, ok := <-s.frames:
			if ok {
				before = append(before, g)
				continue
			}
			var c websocket.CloseError
			if !errors.As(s.end, &c) {
				t.Fatalf("the socket ended without a Close: %v (frames before: %v)", s.end, before)
			}
			return c, before
		case <-limit:
			t.Fatalf("no Close within %v (the last of %d frames: %v)", patience, len(before), before[max(0, len(before)-3):])
		}
	}
}

var refForm = regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{16}$`)

// refusal waits for one error frame and the Close behind it, holds both to the
// contract, and returns the frame.
func (s *socket) refusal(t testing.TB, code int, reason string) got {
	t.Helper()
	c, before := s.closed(t)
	ref := s.header.Get("Roomspa-Ref")
	if !refForm.MatchString(ref) {
		t.Errorf("Roomspa-Ref is %q", ref)
	}
	if want := reason + " ref=" + ref; int(c.Code) != code || c.Reason != want {
		t.Errorf("closed with %d %q, want %d %q", c.Code, c.Reason, code, want)
	}
	if len(before) != 1 {
		t.Fatalf("frames before the Close: %v, want one", before)
	}
	g := before[0]
	kind := "error"
	if code == 1012 || code == 1013 {
		kind = "reconnect"
	}
	switch {
	case g.Type != kind:
		t.Errorf("before the Close came %s, want a frame of type %s", g.raw, kind)
	case kind == "reconnect" && (g.Reason != reason || g.AfterMS == nil):
		t.Errorf("the reconnect frame is %s", g.raw)
	case kind == "error" && (g.Code != reason || g.Ref != ref || g.Close != code || g.Detail == ""):
		t.Errorf("the error frame is %s, want code %s, ref %s, close %d and a detail", g.raw, reason, ref, code)
	}
	if strings.Contains(g.raw, "null") {
		t.Errorf("absent values are left out, not null: %s", g.raw)
	}
	return g
}

// faulty waits for an error frame after which the socket stays open.
func (s *socket) faulty(t testing.TB, code, field string) got {
	t.Helper()
	g := s.want(t, "error")
	if g.Code != code || g.Field != field || g.Close != 0 || g.Ref != s.header.Get("Roomspa-Ref") || g.Detail == "" {
		t.Errorf("got %s, want code %q, field %q, the socket's ref, a detail and no close", g.raw, code, field)
	}
	return g
}
