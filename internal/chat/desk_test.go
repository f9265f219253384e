package chat

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/receipt"
	"github.com/roomspa/roomspa/internal/room"
)

// A desk is one consumer between a store and a layer that a test steers: what the
// real ones cannot be made to do on the spot.
type desk struct {
	t    *testing.T
	chat *Chat
	s    *Consumer
	log  logging.Conn
	reg  *prometheus.Registry

	account budget.Account

	mu        sync.Mutex
	id        room.ID // of the conversation
	stored    []room.Message
	timeline  byte // second byte of the ids of new messages
	loads     int
	failLoad  error
	onLoad    func() // called in each Conversation, after it has read
	reads     int    // calls of After
	rows      int    // that After has read
	pages     int    // calls of Before
	failRead  error
	failWrite error
	down      error
	published []event.Body
	cursors   map[room.UserID]room.Cursor
	marks     []string // calls of Mark
	dropped   int      // calls of Reset
	onReset   func()   // called in each Reset
	onAppend  func()   // called in each Append, after it has stored
	woken     int
	deleted   map[int64]bool // numbers of messages that After does not find
}

func (d *desk) Conversation(context.Context, room.Room, room.UserID) (room.Conversation, error) {
	d.mu.Lock()
	d.loads++
	c, err, onLoad := room.Conversation{ID: d.id, FirstSeq: 1, LastSeq: int64(len(d.stored)), Customer: d.cursors[1], Therapist: d.cursors[2]}, d.failLoad, d.onLoad
	d.mu.Unlock()
	if onLoad != nil {
		onLoad()
	}
	return c, err
}

func (d *desk) Append(_ context.Context, c room.ID, m room.Draft) (room.Message, bool, error) {
	if d.onAppend != nil {
		defer d.onAppend()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failWrite != nil {
		return room.Message{}, false, d.failWrite
	}
	if c != d.id {
		return room.Message{}, false, room.ErrNotFound
	}
	for _, old := range d.stored {
		if m.ClientMessageID != "" && old.ClientMessageID == m.ClientMessageID {
			return old, true, nil
		}
	}
	return d.store(c, m), false, nil
}

func (d *desk) store(c room.ID, m room.Draft) room.Message {
	n := int64(len(d.stored) + 1)
	stored := room.Message{
		ID: room.ID{byte(n), d.timeline}, Conversation: c, Seq: n, Number: 100 + n, Sender: m.Sender, SenderRole: m.SenderRole,
		Text: m.Text, ClientMessageID: m.ClientMessageID, At: time.Unix(n, 0),
	}
	d.stored = append(d.stored, stored)
	return stored
}

func (d *desk) After(_ context.Context, c room.ID, seq int64, limit, size int) ([]room.Message, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	if d.failRead != nil || c != d.id {
		return nil, false, d.failRead
	}
	rest := slices.Clone(d.stored[min(int(seq), len(d.stored)):])
	rest = slices.DeleteFunc(rest, func(m room.Message) bool { return d.deleted[m.Seq] })
	n := 0
	for n < min(limit, len(rest)) && (n == 0 || size >= len(rest[n].Text)) {
		size -= len(rest[n].Text)
		n++
	}
	d.rows += min(limit, len(rest))
	return slices.Clone(rest[:n]), n < len(rest) || n == limit, nil
}

func (d *desk) Repeated(context.Context, room.ID, room.Draft) (room.Message, bool, error) {
	return room.Message{}, false, nil
}

func (d *desk) Before(_ context.Context, c room.ID, seq int64, limit, _ int) ([]room.Message, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pages++
	if c != d.id || d.failRead != nil {
		return nil, false, d.failRead
	}
	end := len(d.stored)
	if seq > 0 {
		end = int(seq) - 1
	}
	return slices.Clone(d.stored[max(0, end-limit):end]), end > limit, nil
}

func (d *desk) Tails(context.Context, time.Duration) (map[room.ID]int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return map[room.ID]int64{d.id: int64(len(d.stored))}, d.failRead
}

func (d *desk) ChangedCursors(context.Context, time.Duration) ([]room.Receipt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []room.Receipt
	for user, c := range d.cursors {
		found = append(found, room.Receipt{Conversation: d.id, User: user, Cursor: c})
	}
	return found, d.failRead
}

func (d *desk) CursorsOf(ctx context.Context, _ []room.ID) ([]room.Receipt, error) {
	return d.ChangedCursors(ctx, 0)
}

// Mark stores a mark at once, and announces nothing.
func (d *desk) Mark(t receipt.Target, c room.Cursor, done func(room.Cursor, error)) {
	d.mu.Lock()
	d.marks = append(d.marks, fmt.Sprintf("%d: %d %d", t.User, c.Delivered, c.Read))
	err := d.failWrite
	if c = c.Advanced(room.Cursor{}); c.Delivered > int64(len(d.stored)) {
		err = receipt.ErrBeyond
	}
	if err == nil {
		d.cursors[t.User] = d.cursors[t.User].Advanced(c)
	}
	c = d.cursors[t.User]
	d.mu.Unlock()
	if done != nil {
		done(c, err)
	}
}

func (d *desk) Reset() {
	d.set(func() { d.dropped++ })
	if d.onReset != nil {
		d.onReset()
	}
}

func (d *desk) Join(context.Context, string, func(event.Event), func(bool)) (func(), error) {
	return func() {}, nil
}

func (d *desk) Publish(_ string, body event.Body, done func(error)) {
	d.mu.Lock()
	err := d.down
	if err == nil {
		d.published = append(d.published, body)
	}
	d.mu.Unlock()
	done(err)
}

func (d *desk) Health() (time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Time{}, d.down
}

func (d *desk) Wake() {
	d.mu.Lock()
	d.woken++
	d.mu.Unlock()
}

func (d *desk) Log() *logging.Conn { return &d.log }

func (d *desk) Renew(string) error { return nil }

func (d *desk) PausePings(time.Duration) {}
func (d *desk) Account() *budget.Account { return &d.account }
