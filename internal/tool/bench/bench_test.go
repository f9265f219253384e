package bench_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/bench"
)

// ready waits until a replica in a process of its own is ready.
func ready(tb testing.TB, ops string) {
	tb.Helper()
	world.Eventually(tb, ops+" is ready", func() (bool, any) {
		status, _, body := world.Get(tb, ops+"/readyz")
		return status == http.StatusOK, string(body)
	})
}

// measure runs a load that is to find nothing wrong.
func measure(t *testing.T, o bench.Options) *bench.Report {
	t.Helper()
	r, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
	if r.Failed() || r.Connections.Opened != int64(o.Sockets) || r.Connections.Failed != 0 || len(r.Closes) != 0 || len(r.Refused) != 0 {
		t.Errorf("bad: %v, closes %v, refused %v, connections %+v", r.Failed(), r.Closes, r.Refused, r.Connections)
	}
	return r
}

func TestARateIsKeptAndEveryMessageCounted(t *testing.T) {
	t.Parallel()
	o := load(t, replicas(t, 2))
	o.Rate, o.Warm = 200, 100*time.Millisecond
	r := measure(t, o)
	m := r.Messages
	if m.Sent != 220 {
		t.Errorf("%d were sent, want 220", m.Sent)
	}
	if m.Echo.Count != 200 || m.Latency.Count != m.Echo.Count || m.Ack.Count != m.Echo.Count {
		t.Errorf("measured %d to the others, %d to the senders, %d acknowledgements; want 200 each", m.Latency.Count, m.Echo.Count, m.Ack.Count)
	}
	if m.Latency.P50 <= 0 || m.Latency.P50 > m.Latency.P99 || m.Latency.P99 > m.Latency.P999 || m.Latency.P999 > m.Latency.Max {
		t.Errorf("quantiles are out of order: %+v", m.Latency)
	}
	if m.PerSecond <= 0 || m.FramesPerSecond < 1.9*m.PerSecond {
		t.Errorf("%.1f messages/s, %.1f frames/s in rooms of two", m.PerSecond, m.FramesPerSecond)
	}
	if len(r.Replicas) != 2 || r.Total.Error != "" || r.Replicas[0].Connections != 10 || r.Replicas[1].Connections != 10 {
		t.Errorf("replicas: %+v", r.Replicas)
	}
}

func TestAsFastAsItGoes(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{bench.Chat, bench.Location} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := load(t, replicas(t, 2))
			o.Kind, o.Max = kind, true
			m := measure(t, o).Messages
			if m.Sent == 0 || m.Echo.Count == 0 || m.Stalls != 0 {
				t.Errorf("%+v", m)
			}
		})
	}
}

func TestTheFullMix(t *testing.T) {
	t.Parallel()
	o := load(t, replicas(t, 2))
	o.Mix, o.Rate, o.For = bench.Full, 200, 3*time.Second
	r := measure(t, o)
	s := r.State
	if want := 2 * int64(r.Messages.Latency.Count); s.ReceiptsSent != want {
		t.Errorf("%d receipts were sent for %d messages, want %d", s.ReceiptsSent, r.Messages.Latency.Count, want)
	}
	if s.Read == 0 || s.Typing == 0 || s.Typing > 2*s.TypingSent {
		t.Errorf("%+v", s)
	}
}

func TestOneRoomOfMany(t *testing.T) {
	t.Parallel()
	o := load(t, replicas(t, 2))
	o.Sockets, o.Rooms, o.Max = 30, 1, true
	m := measure(t, o).Messages
	if m.Senders != 1 || m.Latency.Count+30 < 29*m.Echo.Count || m.Latency.Count > 29*m.Echo.Count+30 {
		t.Errorf("%d senders, %d deliveries to others of %d messages", m.Senders, m.Latency.Count, m.Echo.Count)
	}
}

func TestSocketsAreHeldIdle(t *testing.T) {
	t.Parallel()
	o := load(t, replicas(t, 1))
	o.Touch = true
	m := measure(t, o).Messages
	if m.Sent != 20 || m.Unanswered != 0 || m.Late != 0 {
		t.Errorf("%+v", m)
	}
}

func TestTokensThatAreGiven(t *testing.T) {
	t.Parallel()
	o := load(t, replicas(t, 1))
	var lines strings.Builder
	for _, user := range []room.UserID{5, 6} {
		token, _, err := o.Keys.Mint(auth.Access, user, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		lines.WriteString("5 6 " + token + "\n")
	}
	var err error
	if o.Seats, err = bench.ParseSeats("# a comment\n\n" + lines.String()); err != nil {
		t.Fatal(err)
	}
	o.Keys, o.Sockets, o.Rooms, o.Rate = nil, 2, 1, 50
	if m := measure(t, o).Messages; m.Echo.Count != 50 || m.Latency.Count != m.Echo.Count {
		t.Errorf("%+v", m)
	}
	if _, err := bench.ParseSeats("1 2"); err == nil {
		t.Error("a line without a token is taken")
	}
}

func TestWhatTheServerRefusesIsNotLost(t *testing.T) {
	t.Parallel()
	o := load(t, replicas(t, 1, func(o *app.Options) { o.MaxMessageLength = 1 }))
	o.Sockets, o.Rooms, o.Rate = 2, 1, 40
	r, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Messages
	if r.Refused["too_long"] != 40 || m.Unanswered != 0 || m.Lost != 0 {
		t.Errorf("refused %v, messages %+v", r.Refused, m)
	}
}

func TestSocketsThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	o := load(t, replicas(t, 1))
	o.First, o.Last = users+1, users+100
	if _, err := bench.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "4001 user_unknown") {
		t.Errorf("unknown users: %v", err)
	}
	o.URLs = []string{o.URLs[0] + "/nowhere"}
	if _, err := bench.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "HTTP 404") {
		t.Errorf("no such path: %v", err)
	}
}

// stopAfter interrupts a run that has sent so many messages and measured some of them.
type stopAfter struct {
	sent int
	stop context.CancelFunc
}

func (s stopAfter) Write(line []byte) (int, error) {
	if _, text, ok := strings.Cut(string(line), "so far, "); ok {
		if sent, err := strconv.Atoi(strings.TrimSuffix(text, " messages sent\n")); err == nil && sent >= s.sent {
			s.stop()
		}
	}
	return len(line), nil
}

func TestAnInterruptedRunSaysWhatItKnows(t *testing.T) {
	t.Parallel()
	o := load(t, replicas(t, 1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Rate, o.For, o.Progress = 100, time.Hour, stopAfter{1, cancel}
	r, err := bench.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Failed() || r.Messages == nil || r.Messages.Sent == 0 {
		text, _ := json.Marshal(r)
		t.Errorf("%s", text)
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	t.Parallel()
	good := bench.Options{
		URLs: []string{"http://localhost"}, Kind: bench.Chat, Sockets: 2, Rooms: 1, Rate: 1, For: time.Second, Size: 1, Dialers: 1,
		HandshakeTimeout: time.Second, Keys: keys(t), First: 1, Last: 2,
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*bench.Options){
		"no URL":               func(o *bench.Options) { o.URLs = nil },
		"too many sockets":     func(o *bench.Options) { o.Sockets = bench.MaxSockets + 1 },
		"an unknown mix":       func(o *bench.Options) { o.Mix = "half" },
		"empty rooms":          func(o *bench.Options) { o.Rooms = 3 },
		"a rate and a maximum": func(o *bench.Options) { o.Max = true },
		"no end":               func(o *bench.Options) { o.For = bench.MaxFor + 1 },
		"no tokens":            func(o *bench.Options) { o.Keys = nil },
	} {
		o := good
		spoil(&o)
		if o.Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	few := good
	few.Sockets, few.Rooms = 10, 5
	if _, err := bench.Run(t.Context(), few); err == nil || !strings.Contains(err.Error(), "wider range of users") {
		t.Errorf("five rooms for two users: %v", err)
	}
}
