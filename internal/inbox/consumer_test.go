package inbox

import (
	"context"
	"errors"
	"testing"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/receipt"
	"github.com/roomspa/roomspa/internal/room"
)

// A stub is what an inbox needs in these tests. Its store has one conversation.
type stub struct {
	endpoint.Socket
	Store

	log    logging.Conn
	at     conversation
	onRead func()
	// waiting and answered are the marks without and with done. The latter get err.
	waiting, answered int
	err               error
}

func (*stub) Wake() {}

func (s *stub) Log() *logging.Conn { return &s.log }

func (s *stub) SummariesOf(context.Context, room.UserID, []room.ID) ([]room.Summary, error) {
	s.onRead()
	return []room.Summary{s.at.summary()}, nil
}

func (s *stub) Mark(_ receipt.Target, _ room.Cursor, done func(room.Cursor, error)) {
	if done == nil {
		s.waiting++
		return
	}
	s.answered++
	done(room.Cursor{}, s.err)
}

func (*stub) Reset() {}

// consumer returns an open inbox that knows the conversation.
func (s *stub) consumer() *Consumer {
	s.at = conversation{id: room.ID{15: 1}, room: room.Room{Customer: me, Therapist: peer}, senders: []room.UserID{peer, peer}}
	c := &Consumer{
		Base: endpoint.NewBase(s, component, outboxBytes), user: me, list: newList(me, false), pager: pager{done: true, complete: true},
		inbox: &Inbox{store: s, receipts: s, metrics: newMetrics(nil), reads: make(chan struct{}, 1), sweepNow: make(chan struct{}, 1)},
	}
	sum := s.at.summary()
	c.list.put(&sum)
	c.list.unwatched = nil
	return c
}

// While Postgres is away a client that has read a message must not have to say so again.
func TestAMarkOfAKnownMessageWaitsForTheStore(t *testing.T) {
	t.Parallel()
	s := &stub{err: room.ErrUnavailable}
	c := s.consumer()
	mark := func(seq int64) {
		t.Helper()
		if err := c.mark(frame.Client{Type: frame.TypeRead, Seq: seq, ConversationID: s.at.id.String()}, room.Cursor{Read: seq}); err != nil {
			t.Fatal(err)
		}
	}
	if mark(2); s.waiting != 1 || s.answered != 0 {
		t.Errorf("of a known message: %d marks wait, %d are answered", s.waiting, s.answered)
	}
	if mark(3); s.answered != 1 {
		t.Errorf("of an unknown message: %d marks are answered", s.answered)
	}
	c.Mu.Lock()
	answer := c.TakeLocked()
	c.Mu.Unlock()
	if !errors.Is(s.err, room.ErrUnavailable) || string(answer.Data) == "" {
		t.Error("a mark that was not stored is not answered")
	}
}

// Every socket counts the same reset, one after the other.
func TestAResetOfAnotherSocketKeepsWhatIsStale(t *testing.T) {
	t.Parallel()
	s := &stub{}
	c := s.consumer()
	s.onRead = func() { c.inbox.resets.Add(1) }
	c.Mu.Lock()
	defer c.Mu.Unlock()
	c.list.next(true)
	c.list.markStale(c.list.entries[s.at.id])
	if err := c.repair(t.Context()); err != nil || len(c.list.stale) != 1 {
		t.Fatalf("%d stale conversations after a reset, %v", len(c.list.stale), err)
	}
	s.onRead = func() {}
	if err := c.repair(t.Context()); err != nil || len(c.list.stale) != 0 || c.list.entries[s.at.id].stale {
		t.Errorf("%d stale conversations after another read, %v", len(c.list.stale), err)
	}
}
