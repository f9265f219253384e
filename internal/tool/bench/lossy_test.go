package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/bench"
)

// A bungler is a server that speaks the protocol and delivers by a script. It is
// written with another library than what it tests.
type bungler struct {
	// deliver says what becomes of the n-th message of a room for one socket: the
	// numbers of the messages that are delivered now.
	deliver func(socket int, n int) []int

	mu    sync.Mutex
	rooms map[string]*bunglersRoom
}

type bunglersRoom struct {
	sockets []chan []byte
	frames  [][]byte
}

func (b *bungler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"bearer"}})
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // nothing is lost with it
	ctx := r.Context()
	out := make(chan []byte, 1000)
	b.mu.Lock()
	if b.rooms == nil {
		b.rooms = map[string]*bunglersRoom{}
	}
	if b.rooms[r.URL.Path] == nil {
		b.rooms[r.URL.Path] = &bunglersRoom{}
	}
	mine := b.rooms[r.URL.Path]
	mine.sockets = append(mine.sockets, out)
	b.mu.Unlock()
	out <- []byte(`{"type":"connected"}`)
	go func() {
		for {
			select {
			case text := <-out:
				if conn.Write(ctx, websocket.MessageText, text) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return
		}
		b.take(mine, out, text)
	}
}

func (b *bungler) take(in *bunglersRoom, from chan []byte, text []byte) {
	var m struct {
		ID string `json:"client_message_id"`
	}
	_ = json.Unmarshal(text, &m)
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(in.frames)
	in.frames = append(in.frames, fmt.Appendf(nil, `{"type":"chat_message","seq":%d,"message":"\"client_message_id\":","client_message_id":%q}`, n+1, m.ID))
	from <- fmt.Appendf(nil, `{"type":"ack","client_message_id":%q,"seq":%d}`, m.ID, n+1)
	for i, to := range in.sockets {
		for _, k := range b.deliver(i, n) {
			to <- bytes.Clone(in.frames[k])
		}
	}
}

// bungle runs a load of one sender and one hearer against a script.
func bungle(t *testing.T, deliver func(socket, n int) []int) *bench.Report {
	t.Helper()
	server := httptest.NewServer(&bungler{deliver: deliver})
	t.Cleanup(server.Close)
	r, err := bench.Run(t.Context(), bench.Options{
		URLs: []string{server.URL}, Kind: bench.Chat, Sockets: 3, Rooms: 1, Rate: 100, For: 300 * time.Millisecond, Drain: 4 * time.Second,
		Size: 10, Dialers: 1, HandshakeTimeout: world.Limit, Keys: keys(t), First: 1, Last: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Messages.Sent != 30 {
		t.Errorf("%d were sent, want 30", r.Messages.Sent)
	}
	return r
}

func TestWhatABunglingServerDoesIsSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deliver                   func(socket, n int) []int
		lost, repeated, reordered int64
	}{
		"nothing wrong": {func(_, n int) []int { return []int{n} }, 0, 0, 0},
		"one in the middle is lost for one": {func(socket, n int) []int {
			if socket == 1 && n == 10 {
				return nil
			}
			return []int{n}
		}, 1, 0, 0},
		"the last one is lost for all": {func(_, n int) []int {
			if n == 29 {
				return nil
			}
			return []int{n}
		}, 3, 0, 0},
		"one comes twice": {func(socket, n int) []int {
			if socket == 2 && n == 7 {
				return []int{n, n}
			}
			return []int{n}
		}, 0, 1, 0},
		"an old one comes again": {func(socket, n int) []int {
			if socket == 1 && n == 20 {
				return []int{n, 3}
			}
			return []int{n}
		}, 0, 1, 0},
		"two change places": {func(socket, n int) []int {
			switch {
			case socket == 1 && n == 5:
				return nil
			case socket == 1 && n == 6:
				return []int{6, 5}
			default:
				return []int{n}
			}
		}, 0, 0, 1},
		"all of it": {func(socket, n int) []int {
			switch {
			case socket == 1 && n == 5, socket == 1 && n == 12:
				return nil
			case socket == 1 && n == 6:
				return []int{6, 5, 5}
			default:
				return []int{n}
			}
		}, 1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := bungle(t, c.deliver)
			m := r.Messages
			if m.Lost != c.lost || m.Repeated != c.repeated || m.Reordered != c.reordered {
				t.Errorf("%d lost, %d repeated, %d reordered; want %d, %d, %d", m.Lost, m.Repeated, m.Reordered, c.lost, c.repeated, c.reordered)
			}
			if r.Failed() != (c.lost+c.repeated+c.reordered > 0) {
				t.Errorf("the verdict is bad: %v", r.Failed())
			}
		})
	}
}

// A server that stalls is charged for every message that was due meanwhile, not
// only for the one that it had in hand.
func TestAStallCountsForAllThatWasDueInIt(t *testing.T) {
	t.Parallel()
	const stall = 500 * time.Millisecond
	server := httptest.NewServer(&bungler{deliver: func(socket, n int) []int {
		if socket == 0 && n == 20 {
			time.Sleep(stall) //nolint:forbidigo // it is the fault that is tested
		}
		return []int{n}
	}})
	t.Cleanup(server.Close)
	r, err := bench.Run(t.Context(), bench.Options{
		URLs: []string{server.URL}, Kind: bench.Chat, Sockets: 2, Rooms: 1, Rate: 100, For: time.Second, Drain: 4 * time.Second,
		Size: 10, Dialers: 1, HandshakeTimeout: world.Limit, Keys: keys(t), First: 1, Last: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	// Of 100 messages 50 were due in the stall, so the median of the late half is
	// well above what a generator would see that waits for each answer.
	if m := r.Messages; m.Sent != 100 || m.Latency.P99 < 400 || m.Latency.P50 < 5 && m.Latency.Max < 450 {
		t.Errorf("sent %d, latency %v", m.Sent, m.Latency)
	}
}

func TestSocketsThatAServerDropsAreCountedByTheirCode(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"bearer"}})
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		_ = conn.Write(ctx, websocket.MessageText, []byte(`{"type":"connected"}`))
		_, _, _ = conn.Read(ctx)
		_ = conn.Close(1013, "slow_consumer ref=0123456789abcdef")
	}))
	t.Cleanup(server.Close)
	r, err := bench.Run(t.Context(), bench.Options{
		URLs: []string{strings.Replace(server.URL, "http", "ws", 1)}, Kind: bench.Chat, Sockets: 2, Rooms: 1, Rate: 50, For: 300 * time.Millisecond,
		Drain: time.Second, Size: 10, Dialers: 1, HandshakeTimeout: world.Limit, Keys: keys(t), First: 1, Last: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Closes["1013 slow_consumer"] != 2 || r.Failed() {
		t.Errorf("closes %v, messages %+v", r.Closes, r.Messages)
	}
}
