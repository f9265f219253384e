package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// consumer returns a consumer of the user in the room of customer 1 and therapist 2.
func (d *desk) consumer(u *room.User, q url.Values) *Consumer {
	return d.chat.newConsumer(endpoint.Peer{User: u, IDs: []room.UserID{1, 2}, Query: q, Group: "chat_1_2", Socket: d})
}

// set changes what the store and the layer do.
func (d *desk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// say stores messages, as another replica would.
func (d *desk) say(n int) {
	d.set(func() {
		for range n {
			d.store(d.id, room.Draft{Sender: 2, SenderRole: room.Therapist, Text: fmt.Sprintf("text %d", len(d.stored)+1)})
		}
	})
}

// hear delivers stored messages over the channel layer.
func (d *desk) hear(seqs ...int64) {
	for _, seq := range seqs {
		d.s.deliver(asEvent(newEvent(&d.stored[seq-1])))
	}
}

// asEvent returns the event as the channel layer delivers it.
func asEvent(b event.Body) event.Event {
	return event.Event{Kind: b.Kind(), At: time.Now(), Body: b.AppendTo(nil)}
}

// newDesk returns a desk whose conversation has messages, and no consumer.
func newDesk(t *testing.T, before int) *desk {
	t.Helper()
	d := &desk{t: t, id: room.ID{1}, cursors: map[room.UserID]room.Cursor{}, log: logging.Conn{Log: logging.New(t.Output(), logging.Options{}), Ref: "r"}}
	d.say(before)
	d.reg = prometheus.NewRegistry()
	d.chat = New(Options{MaxMessageLength: 10}, d, d, d, d.reg)
	return d
}

// inBubble opens a consumer with the given since, and takes its connected frame.
func inBubble(t *testing.T, before int, since *int64, test func(*desk)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, before)
		q := url.Values{}
		if since != nil {
			q.Set("since", strconv.FormatInt(*since, 10))
		}
		d.s = d.consumer(&room.User{ID: 1, Role: room.Customer}, q)
		if err := errors.Join(d.s.Join(t.Context()), d.s.Open(t.Context())); err != nil {
			t.Fatal(err)
		}
		if got := d.next(); !strings.HasPrefix(got, fmt.Sprintf("connected %d", before)) {
			t.Fatalf("first came %q", got)
		}
		test(d)
		d.s.Closed()
	})
}

// take takes one frame. It waits for a read of the store.
func (d *desk) take() (frame.Message, error) {
	for {
		woken := d.wakes()
		m, err := d.s.Next(d.t.Context(), true)
		if m.Data != nil || err != nil {
			return m, err
		}
		if synctest.Wait(); d.wakes() == woken {
			return m, nil
		}
	}
}

// next takes one frame, in short: its type, and its seq or code. It returns ""
// where there is none.
func (d *desk) next() string {
	d.t.Helper()
	m, err := d.take()
	if c, ok := errors.AsType[*frame.Close](err); ok {
		return "close " + c.Reason
	}
	if m.Data == nil {
		return ""
	}
	var f struct {
		Type    string `json:"type"`
		Code    string `json:"code"`
		Seq     int64  `json:"seq"`
		LastSeq int64  `json:"last_seq"`
		From    int64  `json:"from_seq"`
		To      int64  `json:"to_seq"`
		Reset   bool   `json:"reset"`
		ID      string `json:"client_message_id"`
	}
	if err := json.Unmarshal(m.Data, &f); err != nil {
		d.t.Fatalf("frame %s: %v", m.Data, err)
	}
	switch f.Type {
	case "chat_message":
		return fmt.Sprint(f.Seq)
	case "connected":
		return fmt.Sprintf("connected %d", f.LastSeq)
	case "resumed":
		if f.LastSeq != f.To {
			d.t.Errorf("last_seq is %d: %s", f.LastSeq, m.Data)
		}
		return strings.TrimSuffix(fmt.Sprintf("resumed %d-%d reset=%t", f.From, f.To, f.Reset), " reset=false")
	case "error":
		return strings.TrimSpace("error " + f.Code + " " + f.ID)
	default:
		return fmt.Sprintf("%s %d", f.Type, f.Seq)
	}
}

// want takes frames until there is none, and compares.
func (d *desk) want(frames ...string) {
	d.t.Helper()
	var got []string
	for f := d.next(); f != ""; f = d.next() {
		if got = append(got, f); strings.HasPrefix(f, "close") {
			break
		}
	}
	if !slices.Equal(got, frames) {
		d.t.Fatalf("got %q, want %q", got, frames)
	}
}
