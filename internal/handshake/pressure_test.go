package handshake_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// attack opens a socket without a token and writes to it whatever is given.
func attack(t *testing.T, r *world.Replica) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr()) //nolint:noctx // to this machine
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, strings.Join(world.Upgrade("/ws/test/"), "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake failed: %v", err)
	}
	return conn
}

// fragment is a frame of a client that is not the last one of its message.
func fragment(op byte, payload []byte) []byte {
	return append([]byte{op, 0xfe, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}, payload...)
}

// chatting returns a pair of sockets, and a function that sends one message and checks that both get it.
func chatting(t *testing.T, r *world.Replica) func() {
	t.Helper()
	a, b := r.Chat(t, world.Customer), r.Chat(t, world.Therapist)
	n := 0
	return func() {
		t.Helper()
		n++
		a.Deliver(t, "hello", strconv.Itoa(n))
		if m := b.Find(t, "chat_message"); m.Seq != int64(n) {
			t.Errorf("message %d came as %s", n, m.Raw)
		}
	}
}

func closes(code int, reason string) string {
	return fmt.Sprintf(`roomspa_closes_total{code="%d",endpoint="test",reason="%s"}`, code, reason)
}

func TestHalfMessagesAreBoundedTogetherAndInTime(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	say := chatting(t, r)
	const attackers = 100
	half := fragment(0x02, make([]byte, 65_000))
	for range attackers {
		conn := attack(t, r)
		go func() { _, _ = conn.Write(half) }()
		go func() { _, _ = io.Copy(io.Discard, conn) }()
	}
	world.Eventually(t, "the half messages are counted", func() (bool, any) {
		held := r.Metric(t, "roomspa_budget_held_bytes")
		return held > attackers*60_000 || held > r.Metric(t, "roomspa_budget_bytes")/2, held
	})
	world.Eventually(t, "all are closed", func() (bool, any) {
		say()
		closed := r.Metric(t, closes(1008, "message_timeout"))
		return closed == attackers, closed
	})
	world.Eventually(t, "all bytes are given back", func() (bool, any) {
		held := r.Metric(t, "roomspa_budget_held_bytes")
		return held == 0, held
	})
}

func TestFloodsOfEmptyFramesEndSoon(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	say := chatting(t, r)
	var wg sync.WaitGroup
	for _, flood := range []string{"\x89\x80\x00\x00\x00\x00", "\x00\x80\x00\x00\x00\x00"} {
		conn := attack(t, r)
		wg.Go(func() {
			_, _ = conn.Write(fragment(0x02, nil))
			for many := []byte(strings.Repeat(flood, 1000)); ; {
				if _, err := conn.Write(many); err != nil {
					return
				}
			}
		})
		wg.Go(func() { _, _ = io.Copy(io.Discard, conn) })
	}
	world.Eventually(t, "both are closed", func() (bool, any) {
		say()
		closed := r.Metric(t, closes(1008, "rate_limited"))
		return closed == 2, closed
	})
	wg.Wait()
}

func TestAnEchoThatNobodyTakesStopsTheReader(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	s := r.Stall(t, world.Handshake{Path: "/ws/test/"})
	s.Conn.SetReadLimit(-1)
	const n = 40
	sent := make(chan error, 1)
	go func() {
		for range n {
			if err := s.Conn.Write(t.Context(), websocket.MessageBinary, make([]byte, 60_000)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	world.Eventually(t, "the echo is full", func() (bool, any) {
		held := r.Metric(t, "roomspa_budget_held_bytes")
		return held > 100_000, held
	})
	if held := r.Metric(t, "roomspa_budget_held_bytes"); held > 500_000 {
		t.Errorf("%g bytes are held for one socket", held)
	}
	for i := range n {
		if _, data, err := s.Conn.Read(t.Context()); err != nil || len(data) != 60_000 {
			t.Fatalf("echo %d: %d bytes, %v", i+1, len(data), err)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestMessagesOverTheRateAreStoredInOrder(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.MessageRate, o.MessageBurst = 50, 5 })
	s := r.Chat(t, world.Customer)
	const n = 60
	for i := range n {
		s.Say(t, "hello", strconv.Itoa(i))
	}
	acks := 0
	for acks < n {
		switch f := s.Next(t); f.Type {
		case "ack":
			if f.ClientMessageID != strconv.Itoa(acks) {
				t.Fatalf("ack %d is %s", acks, f.Raw)
			}
			acks++
		case "error":
			t.Fatalf("refused: %s", f.Raw)
		}
	}
}

func TestOfPositionsOverTheRateTheNewestIsPublished(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.MessageRate, o.MessageBurst = 1, 1 })
	s, other := r.Location(t, world.Therapist), r.Location(t, world.Customer)
	const n = 200
	for i := 1; i <= n; i++ {
		s.Send(t, fmt.Sprintf(`{"latitude":1,"longitude":2,"heading":%d}`, i))
	}
	for {
		f := other.Next(t)
		if f.Type == "error" {
			t.Fatalf("refused: %s", f.Raw)
		}
		if strings.Contains(f.Raw, fmt.Sprintf(`"heading":%d`, n)) {
			break
		}
	}
	if dropped := r.Metric(t, `roomspa_positions_total{outcome="superseded"}`); dropped < n/2 {
		t.Errorf("%g positions are counted as superseded", dropped)
	}
}

func TestAUserHasSoManySockets(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.UserSockets = 2 })
	first := r.Chat(t, world.Customer)
	r.Location(t, world.Customer)
	r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).ExpectRefusal(t, 4003, "too_many_sockets")
	r.Chat(t, world.Therapist)
	_ = first.Conn.Close(websocket.StatusNormalClosure, "")
	r.Chat(t, world.Customer)
	r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).ExpectRefusal(t, 4003, "too_many_sockets")
}

func TestStrangersDoNotTakeThePlacesOfUsers(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.SoftLimit, o.HardLimit = 20, 24 })
	for range 2 {
		r.Connect(t, world.Handshake{Path: "/ws/test/"})
	}
	for range 2 {
		r.Connect(t, world.Handshake{Path: "/ws/test/"}).ExpectRefusal(t, 1013, "busy")
	}
	began := time.Now()
	for range 30 { // handshakes that fail take no places either
		r.Connect(t, world.Handshake{Path: "/ws/chat/1/2/"}).ExpectRefusal(t, 4001, "token_missing")
	}
	for range 18 {
		r.Chat(t, world.Customer)
	}
	r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).ExpectRefusal(t, 1013, "busy")
	t.Logf("took %v", time.Since(began))
}
