package world

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/room"
)

// Handshake says how a client connects.
type Handshake struct {
	Path         string
	Query        url.Values
	Header       http.Header
	Subprotocols []string
	// Presence keeps presence frames, which come at any time. Without it the socket drops them.
	Presence bool
	// Tap, if not nil, is called with each frame and at last with the error that ended the socket.
	Tap func(f Frame, end error)
}

// Socket is one client. It reads everything at once, as a healthy client does.
type Socket struct {
	Conn   *websocket.Conn
	Header http.Header // of the answer to the handshake

	done chan struct{} // closed when nothing more can come
	end  error         // valid when done is closed

	mu    sync.Mutex
	queue []Frame
	more  chan struct{} // has room for one: the queue has grown
}

// Dial opens a socket, or returns the server's answer.
func (r *Replica) Dial(t testing.TB, h Handshake) (*Socket, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	address := "ws://" + r.addr + h.Path
	if h.Query != nil {
		address += "?" + h.Query.Encode()
	}
	conn, res, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		HTTPClient: plain, HTTPHeader: h.Header, Subprotocols: h.Subprotocols, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		return nil, res, err //nolint:wrapcheck // for the caller to judge
	}
	conn.SetReadLimit(-1)
	s := &Socket{Conn: conn, Header: res.Header, done: make(chan struct{}), more: make(chan struct{}, 1)}
	tap := h.Tap
	if tap == nil {
		tap = func(Frame, error) {}
	}
	reading := context.WithoutCancel(t.Context())
	go s.read(reading, tap, h.Presence)
	t.Cleanup(func() {
		_ = conn.CloseNow()
		<-s.done
	})
	return s, res, nil
}

func (s *Socket) read(ctx context.Context, tap func(Frame, error), presence bool) {
	defer close(s.done)
	for {
		kind, data, err := s.Conn.Read(ctx)
		if err != nil {
			s.end = err
			tap(Frame{}, err)
			return
		}
		f := Frame{Raw: string(data), Binary: kind == websocket.MessageBinary}
		_ = json.Unmarshal(data, &f) // echoes need not be JSON
		tap(f, nil)
		if f.Type == "presence" && !presence {
			continue
		}
		s.mu.Lock()
		s.queue = append(s.queue, f)
		s.mu.Unlock()
		select {
		case s.more <- struct{}{}:
		default:
		}
	}
}

// Connect opens a socket, or fails the test.
func (r *Replica) Connect(t testing.TB, h Handshake) *Socket {
	t.Helper()
	s, res, err := r.Dial(t, h)
	if err != nil {
		status := 0
		if res != nil {
			status = res.StatusCode
		}
		t.Fatalf("connect to %s: %v (status %d)", h.Path, err, status)
	}
	return s
}

// ConnectAs connects a user with a good token.
func (r *Replica) ConnectAs(t testing.TB, user room.UserID, path string, query url.Values) *Socket {
	t.Helper()
	return r.Connect(t, Handshake{Path: path, Query: query, Subprotocols: []string{"bearer", r.World.Token(t, user)}})
}

// Chat connects a user to the chat of Customer and Therapist, and takes the connected frame.
func (r *Replica) Chat(t testing.TB, user room.UserID) *Socket {
	t.Helper()
	s := r.ConnectAs(t, user, "/ws/chat/1/2/", nil)
	s.Expect(t, "connected")
	return s
}

// Location connects a user to the location of the same two, likewise.
func (r *Replica) Location(t testing.TB, user room.UserID) *Socket {
	t.Helper()
	s := r.ConnectAs(t, user, "/ws/location/1/2/", nil)
	s.Expect(t, "connected")
	return s
}

// Ref returns the reference of the connection.
func (s *Socket) Ref() string { return s.Header.Get("Roomspa-Ref") }

// Receive returns the next frame, or false when the socket has ended. It waits as long as that takes.
func (s *Socket) Receive() (Frame, bool) {
	f, ok, _ := s.receive(nil)
	return f, ok
}

// receive is Receive until limit.
func (s *Socket) receive(limit <-chan time.Time) (f Frame, ok, late bool) {
	for ended := false; ; {
		s.mu.Lock()
		if len(s.queue) > 0 {
			f, s.queue = s.queue[0], s.queue[1:]
			s.mu.Unlock()
			return f, true, false
		}
		s.mu.Unlock()
		if ended {
			return Frame{}, false, false
		}
		select {
		case <-s.more:
		case <-s.done:
			ended = true // a last look: frames may have come before
		case <-limit:
			return Frame{}, false, true
		}
	}
}

// Drain returns the frames that have come and were not taken yet.
func (s *Socket) Drain() []Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames := s.queue
	s.queue = nil
	return frames
}

// WaitEnd waits until nothing more can come, and returns why.
func (s *Socket) WaitEnd(t testing.TB) error {
	t.Helper()
	Wait(t, "the socket ends", s.done)
	return s.end
}

// Write writes a message.
func (s *Socket) Write(t testing.TB, kind websocket.MessageType, data []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	if err := s.Conn.Write(ctx, kind, data); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// Send writes a text frame.
func (s *Socket) Send(t testing.TB, text string) {
	t.Helper()
	s.Write(t, websocket.MessageText, []byte(text))
}

// Say sends a chat message, without waiting for anything.
func (s *Socket) Say(t testing.TB, text, id string) {
	t.Helper()
	b, err := json.Marshal(map[string]string{"type": "chat_message", "message": text, "client_message_id": id})
	if err != nil {
		t.Fatal(err)
	}
	s.Send(t, string(b))
}

// WriteFragments writes one message in as many frames as there are pieces. The server may close before the last one.
func (s *Socket) WriteFragments(t testing.TB, kind websocket.MessageType, pieces []string) {
	t.Helper()
	if len(pieces) == 1 {
		_ = s.Conn.Write(t.Context(), kind, []byte(pieces[0]))
		return
	}
	w, err := s.Conn.Writer(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		if _, err := w.Write([]byte(p)); err != nil {
			return
		}
	}
	_ = w.Close()
}

// Mark sends a receipt of a kind, delivered or read.
func (s *Socket) Mark(t testing.TB, kind string, seq int64) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"type": kind, "seq": seq})
	if err != nil {
		t.Fatal(err)
	}
	s.Send(t, string(b))
}

// WaitReceipt waits until the socket is told that a user has reached seq, and drops all frames before.
func (s *Socket) WaitReceipt(t testing.TB, kind string, user room.UserID, seq int64) {
	t.Helper()
	for {
		if f := s.Find(t, kind); f.UserID == int64(user) && f.Seq >= seq {
			return
		}
	}
}
