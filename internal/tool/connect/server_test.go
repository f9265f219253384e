package connect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/roomspa/roomspa/internal/tool/client"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // times are shown in the viewer's zone
	goleak.VerifyTestMain(m)
}

const stamp = "2026-01-02T14:03:22.000Z"

// A side is the server's side of one socket.
type side struct {
	t  *testing.T
	r  *http.Request
	n  int // which connection it is, from 1
	ws *websocket.Conn
}

func (s *side) say(format string, args ...any) {
	_ = s.ws.Write(s.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...))
}

func (s *side) hear() (f client.Frame, ok bool) {
	_, raw, err := s.ws.Read(s.t.Context())
	if err != nil {
		return f, false
	}
	_ = json.Unmarshal(raw, &f)
	f.Raw = raw
	return f, true
}

func (s *side) untilClosed() {
	for _, ok := s.hear(); ok; {
		_, ok = s.hear()
	}
}

func (s *side) connected(lastSeq int) {
	s.say(`{"type":"connected","ref":"ref%d","conversation_id":"conv","last_seq":%d}`, s.n, lastSeq)
}

// store acknowledges a message and sends it to its sender.
func (s *side) store(f client.Frame, seq int) {
	s.say(`{"type":"ack","client_message_id":"%s","id":"m","seq":%d,"timestamp":"%s","duplicate":false}`, f.ClientMessageID, seq, stamp)
	s.say(`{"type":"chat_message","id":"m","seq":%d,"sender_id":1,"sender_role":"customer","message":%q,"client_message_id":"%s","timestamp":"%s"}`,
		seq, f.Message, f.ClientMessageID, stamp)
}

// storeAll does so until the client closes.
func (s *side) storeAll(seq int) {
	for f, ok := s.hear(); ok; f, ok = s.hear() {
		seq++
		s.store(f, seq)
	}
}

// playing plays a script on every connection.
func playing(t *testing.T, script func(*side)) http.Handler {
	var count atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &side{t: t, r: r, n: int(count.Add(1))}
		w.Header().Set("Roomspa-Ref", fmt.Sprintf("ref%d", s.n))
		var err error
		if s.ws, err = websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"bearer"}}); err != nil {
			return // it has been answered
		}
		script(s)
		_ = s.ws.CloseNow()
	})
}

// serve plays a script, and returns the ws URL.
func serve(t *testing.T, script func(*side)) string {
	t.Helper()
	server := httptest.NewServer(playing(t, script))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// token is one of user 1, as far as a client can see.
const token = "h.eyJ1c2VyX2lkIjoxfQ.s"

// talked runs the command over piped input, or over that of the options, and returns what it wrote.
func talked(t *testing.T, o Options, url, input string) (string, error) {
	t.Helper()
	var out, complaints bytes.Buffer
	o.Session.Socket.URL, o.Session.Socket.Token = url, token
	o.Out, o.Err = &out, &complaints
	if o.In == nil {
		o.In = strings.NewReader(input)
	}
	o.answerTimeout = time.Minute
	err := Run(t.Context(), o)
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "ws://"), "/")
	return strings.ReplaceAll(out.String(), host, "host"), err
}

// A hub is a server with one room, for the smoke test.
type hub struct {
	mu    sync.Mutex
	seq   int
	sides []*side
	// oneWay refuses the positions of user 1.
	oneWay bool
}

func (h *hub) script(s *side) {
	if strings.HasPrefix(s.r.URL.Path, "/ws/test") {
		f, _ := s.hear()
		s.say("%s", f.Raw)
		s.hear()
		return
	}
	h.mu.Lock()
	h.sides = append(h.sides, s)
	h.mu.Unlock()
	s.connected(0)
	for f, ok := s.hear(); ok; f, ok = s.hear() {
		h.mu.Lock()
		h.seq++
		if f.Latitude != nil && h.oneWay && s.r.Header.Get("Sec-WebSocket-Protocol") == "bearer, t1" {
			s.say(`{"type":"error","code":"wrong_role","detail":"positions of customers are not passed on"}`)
			h.mu.Unlock()
			continue
		}
		if f.Latitude == nil {
			s.say(`{"type":"ack","client_message_id":"%s","seq":%d}`, f.ClientMessageID, h.seq)
		}
		for _, each := range h.sides {
			if f.Latitude != nil {
				each.say(`{"type":"location_update","user_id":1,"latitude":%v,"longitude":0}`, *f.Latitude)
			} else {
				each.say(`{"type":"chat_message","seq":%d,"client_message_id":"%s"}`, h.seq, f.ClientMessageID)
			}
		}
		h.mu.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sides = slices.DeleteFunc(h.sides, func(each *side) bool { return each == s })
}
