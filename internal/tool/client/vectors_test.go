package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/room"
)

// goCapabilities is what this client is capable of, of what not every client must. The library
// answers and sends protocol pings, a process is not frozen, and receipts and typing are the caller's.
var goCapabilities = []string{"http_status"}

// A vector is a script of clients/vectors.
type vector struct {
	Name, Endpoint string
	Needs          []string
	Random         float64
	Given          struct {
		Since  *int64
		ID     string
		Queue  []map[string]string
		Tokens []string
	}
	Steps []struct {
		At     int64
		Event  map[string]any
		Expect []map[string]any
	}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../clients/vectors/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var vectors []vector
		if err := json.Unmarshal(text, &vectors); err != nil {
			t.Fatal(err)
		}
		for _, v := range vectors {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".json")+"/"+v.Name, func(t *testing.T) {
				for _, n := range v.Needs {
					if !slices.Contains(goCapabilities, n) {
						t.Skip("needs " + n)
					}
				}
				bubble(t, func(t *testing.T) { playVector(t, &v) })
			})
		}
	}
}

// playVector runs a session against the events of a vector, in the time of the bubble.
func playVector(t *testing.T, v *vector) {
	t.Helper()
	p := &vectorPlay{t: t, began: time.Now(), commands: make(chan map[string]any)}
	s := p.newSession(v)
	for _, m := range v.Given.Queue {
		if _, err := s.SendMessage(m["message"], m["client_message_id"]); err != nil {
			t.Fatal(err)
		}
	}
	started := false
	for _, step := range v.Steps {
		<-time.After(time.Until(p.began.Add(time.Duration(step.At) * time.Millisecond)))
		synctest.Wait()
		switch event := step.Event; event["type"] {
		case nil:
		case "start":
			started = true
			go func() {
				if s.Run(t.Context()) == nil {
					p.note("over", "code", 1000)
				}
			}()
		case "stop":
			s.Close(1000, "")
		case "send":
			_, _ = s.SendMessage(event["message"].(string), event["client_message_id"].(string))
		case "position":
			at := event["position"].(map[string]any)
			none := math.NaN()
			_ = s.SendPosition(room.Position{Latitude: at["latitude"].(float64), Longitude: at["longitude"].(float64), Accuracy: none, Heading: none, Speed: none})
		default:
			p.commands <- event
		}
		synctest.Wait()
		p.compare(step.At, step.Expect)
	}
	if started {
		s.Close(1000, "")
		<-s.Done()
	}
}

// A vectorPlay is the server, the token source and the app of a session, which note what it does.
type vectorPlay struct {
	t        *testing.T
	began    time.Time
	commands chan map[string]any // for the connection that is open

	mu    sync.Mutex
	notes []map[string]any
}

func (p *vectorPlay) note(kind string, more ...any) {
	n := map[string]any{"type": kind, "at": time.Since(p.began).Milliseconds()}
	for i := 0; i < len(more); i += 2 {
		n[more[i].(string)] = more[i+1]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, n)
}

func (p *vectorPlay) newSession(v *vector) *Session {
	path := map[string]string{"chat": chatPath, "location": "/ws/location/1/2/"}[v.Endpoint]
	o := servePipe(p.t, path, http.HandlerFunc(p.serve))
	tokens, current := v.Given.Tokens, 0
	if tokens == nil {
		tokens = []string{"t1"}
	}
	source := func(_ context.Context, refused string) (string, error) {
		if refused == tokens[current] {
			current++
		}
		if current == len(tokens) {
			return "", ErrNoFreshToken
		}
		return tokens[current], nil
	}
	s := NewSession(SessionOptions{Socket: o, TokenSource: source, Since: v.Given.Since, On: p.handle, Record: p.record, Rate: -1, InOrder: true})
	s.highestID = v.Given.ID
	s.jitter = func(limit time.Duration) time.Duration { return time.Duration(v.Random * float64(limit)) }
	return s
}

// serve plays the server for one connection.
func (p *vectorPlay) serve(w http.ResponseWriter, r *http.Request) {
	dial := []any{"token", strings.TrimPrefix(r.Header.Get("Sec-WebSocket-Protocol"), "bearer, ")}
	for _, key := range []string{"since", "id", "last_ref", "last_code"} {
		value := r.URL.Query().Get(key)
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && key != "last_ref" {
			dial = append(dial, key, n)
		} else if value != "" {
			dial = append(dial, key, value)
		}
	}
	p.note("dial", dial...)
	var command map[string]any
	select {
	case command = <-p.commands:
	case <-r.Context().Done():
		p.note("close")
		return
	}
	switch command["type"] {
	case "status":
		if after, ok := command["retry_after"]; ok {
			w.Header().Set("Retry-After", fmt.Sprint(after))
		}
		w.WriteHeader(int(command["status"].(float64)))
		return
	case "close":
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Roomspa-Ref", "0123456789abcdef")
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"bearer"}, InsecureSkipVerify: true})
	if err != nil {
		p.t.Errorf("accept: %v", err)
		return
	}
	p.serveSocket(ws)
}

func (p *vectorPlay) serveSocket(ws *websocket.Conn) {
	gone := make(chan struct{})
	closing := false
	defer func() { _ = ws.CloseNow(); <-gone }()
	go func() {
		defer close(gone)
		for {
			_, raw, err := ws.Read(context.Background())
			if err != nil {
				p.mu.Lock()
				ours := closing
				p.mu.Unlock()
				if !ours {
					p.note("close")
				}
				return
			}
			var f map[string]any
			if err := json.Unmarshal(raw, &f); err != nil {
				p.t.Error(err)
			}
			p.note("send", "frame", f)
		}
	}()
	for {
		select {
		case <-gone:
			return
		case command := <-p.commands:
			if command["type"] == "frame" {
				raw, _ := json.Marshal(command["frame"])
				_ = ws.Write(context.Background(), websocket.MessageText, raw)
				continue
			}
			p.mu.Lock()
			closing = true
			p.mu.Unlock()
			switch code := int(command["code"].(float64)); code {
			case CodeAbnormal:
			case CodeNoStatus:
				_ = ws.Close(websocket.StatusNoStatusRcvd, "")
			default:
				reason, _ := command["reason"].(string)
				_ = ws.Close(websocket.StatusCode(code), reason)
			}
			return
		}
	}
}

func (p *vectorPlay) handle(e Event) {
	switch e.Kind { //nolint:exhaustive // the others are records, or nothing that an app sees
	case Connected:
		p.note("live")
	case Dropped:
		code, _, _ := strings.Cut(e.Err.Error(), ":")
		p.note("failed", "client_message_id", strings.TrimPrefix(e.Message, "text "), "code", code)
	case Closed:
		p.note("wait", "delay", e.Delay.Milliseconds())
	case GaveUp:
		code := 0
		if c, ok := errors.AsType[*CloseError](e.Err); ok {
			if code = c.Code; !c.Clean {
				code = cmp.Or(c.AnnouncedCode, code)
			}
		} else if status, ok := errors.AsType[*StatusError](e.Err); ok {
			code = status.Status
		}
		p.note("over", "code", code)
	}
}

func (p *vectorPlay) record(r Record) {
	switch r.Kind { //nolint:exhaustive // the others are events, or nothing that an app sees
	case RecordReceived:
		p.note("message", "seq", r.Seq)
	case RecordAcknowledged:
		p.note("acked", "client_message_id", r.ClientMessageID, "seq", r.Seq)
	case RecordResumed:
		if r.Frame.Reset {
			p.note("reset", "last_seq", *r.Frame.LastSeq)
		}
	}
}

// compare requires what was noted since the last step. What the app and the server see is in no order
// between them, since they are told by two goroutines.
func (p *vectorPlay) compare(at int64, want []map[string]any) {
	p.t.Helper()
	p.mu.Lock()
	raw, _ := json.Marshal(p.notes)
	p.notes = nil
	p.mu.Unlock()
	var got []map[string]any
	_ = json.Unmarshal(raw, &got) // so that numbers have the type of JSON
	for _, g := range got {
		if g["at"] != float64(at) {
			p.t.Errorf("%v, which is not at %d", g, at)
		}
		delete(g, "at")
	}
	byServer := func(notes []map[string]any) (sorted []map[string]any) {
		sorted = slices.Clone(notes)
		class := func(n map[string]any) int {
			return slices.Index([]string{"close", "dial", "send"}, n["type"].(string)) // -1: by the app
		}
		slices.SortStableFunc(sorted, func(a, b map[string]any) int { return class(a) - class(b) })
		return sorted
	}
	got, want = byServer(got), byServer(want)
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		p.t.Errorf("at %d:\n got %v\nwant %v", at, got, want)
	}
}
