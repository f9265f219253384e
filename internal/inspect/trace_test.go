package inspect_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/inspect"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

const secret = "the quick brown fox, said only once"

// A tracing is a trace that a test reads.
type tracing struct {
	mu    sync.Mutex
	raw   strings.Builder
	lines []inspect.Line
	ended chan struct{}
	stop  context.CancelFunc
}

func follow(t *testing.T, r *world.Replica, query string) *tracing {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Ops("/debug/trace"+query), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("trace: %d %s", res.StatusCode, res.Header)
	}
	f := &tracing{ended: make(chan struct{}), stop: stop}
	go func() {
		defer close(f.ended)
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			var l inspect.Line
			err := json.Unmarshal(lines.Bytes(), &l)
			f.mu.Lock()
			if f.raw.Write(lines.Bytes()); err == nil {
				f.lines = append(f.lines, l)
			}
			f.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		stop()
		<-f.ended
	})
	f.wait(t, "Trace started", "")
	return f
}

// wait waits for an event, and returns its last line.
func (f *tracing) wait(t *testing.T, event, ref string) (found inspect.Line) {
	t.Helper()
	world.Eventually(t, event+" is in the trace", func() (bool, any) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, l := range f.lines {
			if l.Event == event && (ref == "" || l.Ref == ref) {
				found = l
			}
		}
		return found.Event != "", f.raw.String()
	})
	return found
}

func (f *tracing) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.raw.String()
}

func TestATraceShowsTheFramesOfAUserFromAllReplicasWithoutText(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, func(o *app.Options) { o.PingInterval = 1e9 })
	know(t, a, "a", "b")
	before, other := b.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	trace := follow(t, a, "?user=1")
	token := w.Token(t, world.Customer)
	after := a.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", token}})
	after.Expect(t, "connected")
	before.Deliver(t, secret, "an-id-of-the-client")
	before.Send(t, `{"type":"`+"my text as a type"+`","code":"my text as a code"}`)
	other.Deliver(t, secret+" again", "another-id")
	for event, ref := range map[string]string{
		"Frame received": before.Ref(), "Message committed": before.Ref(), "Message delivered": after.Ref(), "Frame sent": after.Ref(),
		"Pong received": after.Ref(), "Joined channel group": after.Ref(), "Handshake accepted": after.Ref(), "Published to group chat_1_2": before.Ref(),
	} {
		l := trace.wait(t, event, ref)
		if l.User != 1 || l.Room != "1/2" || l.Endpoint != "chat" || l.At.IsZero() || l.Replica != map[string]string{before.Ref(): "b", after.Ref(): "a"}[ref] {
			t.Errorf("%s: %+v", event, l)
		}
	}
	_ = after.Conn.Close(1000, "")
	if l := trace.wait(t, "WebSocket disconnected", after.Ref()); l.Fields["code"] != "1000" || l.Fields["reason"] != "bye" {
		t.Errorf("the end: %+v", l)
	}
	text := trace.text()
	for _, forbidden := range []string{"quick brown", "an-id-of", "my text", token, token[:20], "@", other.Ref()} {
		if strings.Contains(text, forbidden) {
			t.Errorf("the trace has %q: %s", forbidden, text)
		}
	}
	waitLine(t, b, "[Audit] Operator traces user=1", "by=127.0.0.1")
	trace.stop()
	<-trace.ended
	// A message on a socket that is no longer watched: five traces would be one too many.
	for range 5 {
		world.Eventually(t, "both replicas take part in another trace", func() (bool, any) {
			again := follow(t, a, "?user=1")
			started := again.wait(t, "Trace started", "")
			again.stop()
			<-again.ended
			missing, _ := started.Fields["missing"].(map[string]any)
			return len(missing) == 0, started
		})
	}
}

func TestATraceEndsWithItsTimeAndIsBounded(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", world.NoRateLimit)
	s := r.Chat(t, world.Customer)
	trace := follow(t, r, "?room=chat_1_2&for=3s")
	for n := range 3000 {
		s.Send(t, fmt.Sprintf(`{"type":"read","seq":%d}`, n))
	}
	l := trace.wait(t, "Trace ended", "")
	<-trace.ended
	if l.Fields["because"] != "its time is over" {
		t.Errorf("the end: %+v", l)
	}
	if dropped, _ := l.Fields["lines_dropped"].(float64); dropped < 100 {
		t.Errorf("%v lines dropped, of thousands within a moment", dropped)
	}
	for _, query := range []string{"", "?endpoint=chat", "?user=1&for=2h", "?user=x", "?room=1"} {
		if res, body := world.Ask(t, http.MethodGet, r.Ops("/debug/trace"+query), ""); res.StatusCode != 400 {
			t.Errorf("trace %q: %d %s", query, res.StatusCode, body)
		}
	}
}

func TestALevelIsRaisedOnAllReplicasAlsoOnOnesThatStartLater(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	quiet := func(o *app.Options) { o.LogLevel = "warn" }
	a, b := w.Pair(t, quiet)
	know(t, a, "a", "b")
	open, other := b.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	rules := get[inspect.Rules](t, a, http.MethodPost, "/debug/log?user=1&for=10m", 200)
	if len(rules.Rules) != 1 || !slices.Equal(rules.Rules[0].Replicas, []string{"a", "b"}) || rules.Rules[0].Level != "debug" {
		t.Fatalf("raised: %+v", rules)
	}
	open.Deliver(t, secret, "an-id-of-the-client")
	waitLine(t, b, "level=DEBUG", "[ChatConsumer] Frame received", open.Ref(), "type=chat_message", "bytes=")
	waitLine(t, b, "level=DEBUG", "[ChatConsumer] Message committed", open.Ref(), "seq=1", "took=")
	waitLine(t, b, "level=INFO", "[ChatConsumer] Message received", open.Ref())
	c := w.Ready(t, "c", quiet)
	waitLine(t, c, "[Audit] Log level raised to debug for user=1", rules.Rules[0].ID)
	late := c.Chat(t, world.Customer)
	waitLine(t, c, "level=DEBUG", "[ChatConsumer] Frame sent", late.Ref(), "type=connected")
	if line := findLine(b, "level=DEBUG", other.Ref()); line != "" {
		t.Errorf("a line about somebody else: %s", line)
	}
	world.Eventually(t, "all replicas list it", func() (bool, any) {
		rules = get[inspect.Rules](t, b, http.MethodGet, "/debug/log", 200)
		return len(rules.Rules) == 1 && slices.Equal(rules.Rules[0].Replicas, []string{"a", "b", "c"}) && rules.Rules[0].LeftMS < 600_000, rules
	})
	get[inspect.Rules](t, c, http.MethodDelete, "/debug/log?id="+rules.Rules[0].ID, 200)
	for _, r := range []*world.Replica{a, b, c} {
		waitLine(t, r, "[Audit] Log level no longer raised for user=1: ended by 127.0.0.1")
		if text := r.Log.String(); strings.Contains(text, "quick brown") || strings.Contains(text, "an-id-of") {
			t.Errorf("the log has text: %s", text)
		}
	}
	lines := strings.Count(b.Log.String(), "level=DEBUG")
	open.Deliver(t, secret, "a-second-id")
	if now := strings.Count(b.Log.String(), "level=DEBUG"); now != lines {
		t.Errorf("%d lines of the level DEBUG after its end", now-lines)
	}
}

func TestEverythingIsLoggedAndTheRestRefused(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	s := r.Chat(t, world.Customer)
	for _, query := range []string{"", "?level=debug", "?all=true&user=1", "?user=1&for=2h", "?user=1&level=error", "?user=1&for=0s", "?replica=a"} {
		if res, body := world.Ask(t, http.MethodPost, r.Ops("/debug/log"+query), ""); res.StatusCode != 400 {
			t.Errorf("log %q: %d %s", query, res.StatusCode, body)
		}
	}
	get[inspect.Rules](t, r, http.MethodPost, "/debug/log?all=true&for=1m", 200)
	s.Deliver(t, secret, "id")
	waitLine(t, r, "level=DEBUG", "Message delivered", s.Ref())
	if ended := get[inspect.Rules](t, r, http.MethodDelete, "/debug/log?all=true", 200); len(ended.Rules) != 1 {
		t.Errorf("ended: %+v", ended)
	}
	for range 8 {
		get[inspect.Rules](t, r, http.MethodPost, "/debug/log?user=1", 200)
	}
	if more := get[inspect.Rules](t, r, http.MethodPost, "/debug/log?user=1", 200); len(more.Missing) != 1 || !strings.Contains(more.Missing[0].Why, "8 levels are raised already") {
		t.Errorf("a ninth level: %+v", more)
	}
}

func TestTopCountsWhatReplicasDo(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	know(t, a, "a", "b")
	here, there := a.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	n := 0
	world.Eventually(t, "rates of both replicas", func() (bool, any) {
		here.Deliver(t, "hello", fmt.Sprintf("id-%d", n))
		there.Deliver(t, "hello", fmt.Sprintf("id-%d", n))
		n++
		top := get[inspect.Top](t, a, http.MethodGet, "/debug/top", 200)
		if len(top.Replicas) != 2 {
			return false, top
		}
		one, two := top.Replicas[0], top.Replicas[1]
		return one.Replica == "a" && two.Replica == "b" && top.Sockets == 2 && one.Sockets == 1 && one.Kinds["chat roomspa"] == 1 &&
			one.Rates.Messages > 0 && two.Rates.Messages > 0 && one.Rates.Delivered > 0 && one.Budget > 0 && one.Version == "test", top
	})
	top := get[inspect.Top](t, b, http.MethodGet, "/debug/top?replica=b", 200)
	if len(top.Replicas) != 1 || top.Replicas[0].Replica != "b" {
		t.Errorf("of one replica: %+v", top)
	}
}
