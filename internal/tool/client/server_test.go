package client

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a listener in memory: in a synctest bubble a wait for it is a wait
// that time may pass over, as a wait for the kernel is not.
type pipes struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.incoming <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A side is the server's side of one socket, for a script to play.
type side struct {
	t  *testing.T
	r  *http.Request
	ws *websocket.Conn
}

func (s *side) say(format string, args ...any) {
	s.t.Helper()
	if err := s.ws.Write(s.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil && s.t.Context().Err() == nil {
		s.t.Errorf("server: say: %v", err)
	}
}

func (s *side) connected(lastSeq int) {
	s.say(`{"type":"connected","ref":"%s","conversation_id":"c","last_seq":%d}`, s.ref(), lastSeq)
}

func (s *side) message(seq int) {
	s.say(`{"type":"chat_message","id":"m%d","seq":%d,"sender_id":2,"sender_role":"therapist","message":"text %d"}`, seq, seq, seq)
}

func (s *side) ack(id string, seq int) {
	s.say(`{"type":"ack","client_message_id":"%s","id":"m","seq":%d,"duplicate":false}`, id, seq)
}

func (s *side) hear() Frame {
	s.t.Helper()
	kind, raw, err := s.ws.Read(s.t.Context())
	if err != nil && s.t.Context().Err() == nil {
		s.t.Errorf("server: hear: %v", err)
	}
	return parseFrame(raw, kind == websocket.MessageBinary, time.Now())
}

// untilClosed answers pings and waits for the client's Close.
func (s *side) untilClosed() websocket.StatusCode {
	for {
		if _, _, err := s.ws.Read(s.t.Context()); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// stay answers pings for a while of the bubble's time.
func (s *side) stay(d time.Duration) {
	gone := s.ws.CloseRead(s.t.Context())
	select {
	case <-time.After(d):
	case <-gone.Done():
	}
}

func (s *side) bye(code int, reason string) { _ = s.ws.Close(websocket.StatusCode(code), reason) }
func (s *side) cut()                        { _ = s.ws.CloseNow() }
func (s *side) ref() string                 { return s.r.Header.Get("X-Ref") }

// A script plays the server for one connection.
type script any // func(*side), or http.HandlerFunc for an answer without an upgrade

// play returns the handler that plays the scripts, one a connection; the last
// one is played again for those that follow.
func play(t *testing.T, scripts ...script) http.HandlerFunc {
	var count atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		n := int(count.Add(1))
		sc := scripts[min(n, len(scripts))-1]
		r.Header.Set("X-Ref", fmt.Sprintf("ref%d", n))
		w.Header().Set("Roomspa-Ref", r.Header.Get("X-Ref"))
		if answer, ok := sc.(http.HandlerFunc); ok {
			answer(w, r)
			return
		}
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"bearer"}, InsecureSkipVerify: true})
		if err != nil {
			t.Errorf("server: accept: %v", err)
			return
		}
		sc.(func(*side))(&side{t: t, r: r, ws: ws})
		_ = ws.CloseNow()
	}
}

// serveTCP plays the scripts on a real socket, and returns its ws URL.
func serveTCP(t *testing.T, scripts ...script) string {
	t.Helper()
	server := httptest.NewServer(play(t, scripts...))
	t.Cleanup(server.Close)
	return "ws" + server.URL[len("http"):]
}

// servePipe plays the scripts in memory, and returns options that reach them.
func servePipe(t *testing.T, path string, scripts ...script) Options {
	t.Helper()
	p := &pipes{incoming: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: play(t, scripts...), ErrorLog: log.New(t.Output(), "", 0), ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(p) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return Options{URL: "ws://server" + path, NetDial: p.dial}
}

// A run is a session at work, and what it has told.
type run struct {
	*Session
	t       *testing.T
	events  chan Event
	mu      sync.Mutex
	records []Record
}

// start runs a session on a chat of the scripts, with the whole of each back-off
// instead of a random part.
func start(t *testing.T, o SessionOptions) *run {
	t.Helper()
	r := &run{t: t, events: make(chan Event, 1000)}
	o.On = func(e Event) { r.events <- e }
	o.Record = func(rec Record) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.records = append(r.records, rec)
	}
	r.Session = NewSession(o)
	r.jitter = func(limit time.Duration) time.Duration { return limit }
	go func() { _ = r.Run(t.Context()) }()
	t.Cleanup(func() { r.Close(1000, ""); <-r.Done() })
	return r
}

// next waits for an event of a kind, and passes over others.
func (r *run) next(kind EventKind) Event {
	r.t.Helper()
	for {
		select {
		case e := <-r.events:
			if e.Kind == kind {
				return e
			}
		case <-r.Done():
			select {
			case e := <-r.events:
				if e.Kind == kind {
					return e
				}
			default:
				r.t.Fatalf("the session ended (%v) before %q", r.endError(), kind)
			}
		}
	}
}

// message waits for a frame of a type.
func (r *run) frame(kind string) *Frame {
	r.t.Helper()
	for {
		if e := r.next(Arrived); e.Frame.Type == kind {
			return e.Frame
		}
	}
}

func (r *run) recorded(kind RecordKind) (found []Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.records {
		if rec.Kind == kind {
			found = append(found, rec)
		}
	}
	return found
}
