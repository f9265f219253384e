package inbox

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	me, peer = room.UserID(1), room.UserID(2)
	topic    = "hello"
)

// A conversation is what the store has of a conversation in these tests.
type conversation struct {
	id      room.ID
	room    room.Room
	senders []room.UserID // by seq, from 1
	read    int64
}

func (c *conversation) summary() room.Summary {
	s := room.Summary{ID: c.id, Room: c.room, Cursor: room.Cursor{Delivered: c.read, Read: c.read}}
	for i, sender := range c.senders {
		if int64(i) >= c.read && sender != me {
			s.Unread++
		}
	}
	if n := len(c.senders); n > 0 {
		s.Last = &room.Message{Seq: int64(n), Sender: c.senders[n-1], Text: topic, At: time.Unix(int64(n), 0)}
	}
	return s
}

func (c *conversation) change() *room.Change {
	return &room.Change{ID: c.id, Room: c.room, LastSeq: int64(len(c.senders)), CustomerRead: c.read}
}

// A client is what a client knows that takes every frame of a list.
type client map[string]frame.Conversation

func (c client) take(t *testing.T, l *list) (others []string) {
	t.Helper()
	for f := l.next(true); f != nil; f = l.next(true) {
		var got frame.Conversation
		if err := json.Unmarshal(f, &got); err != nil {
			t.Fatal(err)
		}
		if got.Type == frame.TypeConversation {
			c[got.ConversationID] = got
		} else {
			others = append(others, string(f))
		}
	}
	return others
}

// TestAClientEndsWithWhatTheStoreHas sends, reads and loses events at random, and delays what
// is read from the store. After the next sweep the client knows what the store has.
func TestAClientEndsWithWhatTheStoreHas(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 17))
		store := make([]*conversation, 3)
		for i := range store {
			store[i] = &conversation{id: room.ID{15: byte(i)}, room: room.Room{Customer: me, Therapist: peer + room.UserID(i)}}
		}
		l, c := newList(me, false), client{}
		var snapshots []room.Summary // read, and not yet taken
		for range 200 {
			at := store[r.IntN(len(store))]
			lost := r.IntN(40) == 0
			switch r.IntN(6) {
			case 0, 1:
				sender := me
				if r.IntN(2) == 0 {
					sender = at.room.Therapist
				}
				at.senders = append(at.senders, sender)
				if !lost {
					l.message(&event.Inbox{Conversation: at.id, Room: at.room, Seq: int64(len(at.senders)), Sender: sender, At: time.Unix(int64(len(at.senders)), 0), Text: topic})
				}
			case 2:
				at.read += r.Int64N(int64(len(at.senders)) - at.read + 1)
				if !lost {
					l.receipt(&event.Receipt{Conversation: at.id, User: me, Cursor: room.Cursor{Delivered: at.read, Read: at.read}})
				}
			case 3: // rarely, since one that is outdated makes its conversation stale
				if len(snapshots) == 0 && r.IntN(4) == 0 {
					snapshots = append(snapshots, at.summary())
				}
			case 4:
				if len(snapshots) > 0 {
					l.put(&snapshots[0])
					snapshots = snapshots[1:]
				}
			case 5:
				for _, id := range l.takeStale(1) {
					snapshots = append(snapshots, store[id[15]].summary())
				}
				c.take(t, &l)
			}
		}
		for len(snapshots) > 0 {
			l.put(&snapshots[0])
			snapshots = snapshots[1:]
		}
		for _, at := range store {
			l.catchUp(at.change())
		}
		for ids := l.takeStale(10); len(ids) > 0; ids = l.takeStale(10) {
			for _, id := range ids {
				s := store[id[15]].summary()
				l.put(&s)
			}
		}
		c.take(t, &l)
		for _, at := range store {
			s := at.summary()
			got := c[at.id.String()]
			if len(at.senders) > 0 && (got.LastSeq != s.Last.Seq || got.Unread != s.Unread) {
				t.Fatalf("seed %d: the client has %d unread up to %d, the store %d up to %d", seed, got.Unread, got.LastSeq, s.Unread, s.Last.Seq)
			}
		}
	}
}

func TestFramesAreCoalesced(t *testing.T) {
	t.Parallel()
	l, c := newList(me, true), client{}
	at := &conversation{id: room.ID{15: 1}, room: room.Room{Customer: me, Therapist: peer}}
	s := at.summary()
	l.put(&s)
	c.take(t, &l)
	for seq := range int64(50) {
		l.message(&event.Inbox{Conversation: at.id, Room: at.room, Seq: seq + 1, Sender: peer, At: time.Unix(seq, 0), Text: topic})
	}
	l.presence(at.id, nil, true, time.Time{})
	l.presence(at.id, nil, false, time.Unix(60, 0))
	l.presence(at.id, nil, true, time.Time{})
	l.presence(at.id, nil, true, time.Unix(60, 0))
	l.receipt(&event.Receipt{Conversation: at.id, User: me, Cursor: room.Cursor{Delivered: 50, Read: 50}})
	l.receipt(&event.Receipt{Conversation: at.id, User: peer, Cursor: room.Cursor{Delivered: 50, Read: 50}})
	others := c.take(t, &l)
	want := []string{
		`{"type":"read","conversation_id":"` + at.id.String() + `","user_id":1,"seq":50}`,
		`{"type":"presence","conversation_id":"` + at.id.String() + `","user_id":2,"online":true,"last_seen":"1970-01-01T00:01:00.000Z"}`,
	}
	if diff := cmp.Diff(want, others); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := c[at.id.String()]; got.Unread != 0 || got.LastSeq != 50 || got.Message != topic {
		t.Errorf("%+v", got)
	}
}

// A blocks is whether there is a block.
type blocks bool

func (b *blocks) Any() bool { return bool(*b) }

func TestABlockHidesWhoIsOnline(t *testing.T) {
	t.Parallel()
	l, c, blocked := newList(me, false), client{}, blocks(false)
	at := &conversation{id: room.ID{15: 1}, room: room.Room{Customer: me, Therapist: peer}}
	s := at.summary()
	l.put(&s)
	want := func(what string, online string) {
		t.Helper()
		l.showAllPresence()
		got := strings.Join(c.take(t, &l), ",")
		if !strings.Contains(got, online) || (online == "") != (got == "") {
			t.Errorf("%s: %q", what, got)
		}
	}
	l.presence(at.id, &blocked, true, time.Time{})
	want("online", `"online":true`)
	blocked = true
	l.presence(at.id, &blocked, false, time.Unix(60, 0))
	want("the block", `"online":false}`)
	l.presence(at.id, &blocked, true, time.Time{})
	want("online during the block", "")
	blocked = false
	want("the block is lifted", `"online":true`)
	l.presence(at.id, &blocked, false, time.Unix(60, 0))
	want("offline", `"online":false,"last_seen":"1970-01-01T00:01:00.000Z"`)
	blocked = true
	want("offline, then a block", "")
	l.presence(at.id, &blocked, false, time.Unix(120, 0))
	want("seen during the block", "")
	blocked = false
	want("seen before the block is lifted", `"last_seen":"1970-01-01T00:02:00.000Z"`)
}

func TestNothingIsSentOfAConversationWhoseCountIsNotKnown(t *testing.T) {
	t.Parallel()
	l := newList(me, false)
	at := &conversation{id: room.ID{15: 1}, room: room.Room{Customer: me, Therapist: peer}, senders: slices.Repeat([]room.UserID{peer}, 9)}
	l.message(&event.Inbox{Conversation: at.id, Room: at.room, Seq: 9, Sender: peer, At: time.Unix(9, 0)})
	if f := l.next(true); f != nil {
		t.Fatalf("sent %s", f)
	}
	s := at.summary()
	l.put(&s)
	c := client{}
	if c.take(t, &l); c[at.id.String()].Unread != 9 {
		t.Errorf("%+v", c)
	}
}
