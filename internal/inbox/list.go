package inbox

import (
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// An entry is one conversation of a list.
type entry struct {
	id     room.ID
	room   room.Room
	last   int64     // highest seq that is known
	at     time.Time // of the newest message; zero if there is none
	text   string    // of the newest message
	read   int64     // read cursor of the user
	unread int

	online   bool // the other side
	lastSeen time.Time
	told     bool      // what the client knows of online
	toldSeen time.Time // and of lastSeen
	blocks   quiet     // nil until the presence of the other side is known

	// stale means that the store has to be read: events were lost, or counts cannot be kept
	// by adding. Nothing is sent of a stale entry, so a client never sees a wrong count.
	stale  bool
	queued bool // the entry is in list.queue

	tellState, tellRead, tellPresence bool // frames that are to be sent
}

// quiet is whether one side of a room has blocked the other one. See [block.Pair].
type quiet interface{ Any() bool }

// A list is the state of the conversations of one user, as one socket tells it to its client.
// Frames are coalesced: of a conversation that changes faster than the client reads, only the
// newest state is sent. A list does no I/O and is not safe for concurrent use.
type list struct {
	user    room.UserID
	text    bool // the client wants the texts of messages
	entries map[room.ID]*entry
	queue   []*entry // entries with frames that are to be sent
	stale   []room.ID
	// unwatched holds the entries whose other side is not watched for its presence yet.
	unwatched []*entry
}

func newList(user room.UserID, text bool) list {
	return list{user: user, text: text, entries: map[room.ID]*entry{}}
}

// put takes a conversation as it was read from the store. A reading from before an event that
// is known does not count, and the store has to be read again.
func (l *list) put(s *room.Summary) {
	e, known := l.entries[s.ID]
	if !known {
		e = l.add(s.ID, s.Room)
	}
	var last int64
	if s.Last != nil {
		last = s.Last.Seq
	}
	if last < e.last || s.Cursor.Read < e.read {
		e.stale = false
		l.markStale(e)
		return
	}
	changed := !known || e.stale && e.tellState || e.last != last || e.unread != s.Unread
	e.tellRead = e.tellRead || known && s.Cursor.Read > e.read
	e.last, e.read, e.unread, e.stale = last, s.Cursor.Read, s.Unread, false
	if s.Last != nil {
		e.at = s.Last.At
		l.setText(e, s.Last.Text)
	}
	e.tellState = e.tellState || changed
	l.enqueue(e)
}

func (l *list) add(id room.ID, r room.Room) *entry {
	e := &entry{id: id, room: r}
	l.entries[id] = e
	l.unwatched = append(l.unwatched, e)
	return e
}

// message takes a new message of a conversation.
func (l *list) message(m *event.Inbox) {
	e := l.entries[m.Conversation]
	if e == nil {
		e = l.add(m.Conversation, m.Room)
		e.tellState = true
		if m.Seq > 1 {
			l.markStale(e)
		}
	}
	if m.Seq <= e.last {
		return
	}
	if m.Seq != e.last+1 {
		l.markStale(e)
	}
	e.last, e.at = m.Seq, m.At
	l.setText(e, m.Text)
	if m.Sender != l.user && m.Seq > e.read {
		e.unread = min(e.unread+1, room.MaxUnread)
	}
	e.tellState = true
	l.enqueue(e)
}

func (l *list) setText(e *entry, text string) {
	if l.text {
		e.text = text
	}
}

// receipt takes how far the user has read a conversation.
func (l *list) receipt(r *event.Receipt) {
	e := l.entries[r.Conversation]
	if e == nil || r.User != l.user || r.Cursor.Read <= e.read {
		return
	}
	e.read, e.tellRead, e.tellState = r.Cursor.Read, true, true
	if e.read >= e.last {
		e.unread = 0
	} else if e.unread > 0 {
		l.markStale(e) // how many of the messages behind it are the other side's is not known
	}
	l.enqueue(e)
}

// catchUp marks a conversation as stale if the store has more than is known.
func (l *list) catchUp(c *room.Change) {
	e := l.entries[c.ID]
	if e == nil {
		e = l.add(c.ID, c.Room)
		e.tellState = true
	} else if c.LastSeq <= e.last && c.Read(l.user) <= e.read {
		return
	}
	l.markStale(e)
}

// recount marks the conversations with a user as stale.
func (l *list) recount(with room.UserID) {
	for _, e := range l.entries {
		if e.room.Customer == with || e.room.Therapist == with {
			l.markStale(e)
		}
	}
}

func (l *list) markStale(e *entry) {
	if !e.stale {
		e.stale = true
		l.stale = append(l.stale, e.id)
	}
}

// takeStale returns up to most conversations that the store has to be read for.
func (l *list) takeStale(most int) []room.ID {
	n := min(most, len(l.stale))
	ids := l.stale[:n:n]
	if l.stale = l.stale[n:]; len(l.stale) == 0 {
		l.stale = nil
	}
	return ids
}

// drop removes a conversation that the store does not have.
func (l *list) drop(id room.ID) {
	if e := l.entries[id]; e != nil && e.stale {
		e.tellState, e.tellRead, e.tellPresence = false, false, false
		delete(l.entries, id)
	}
}

// presence takes whether the other side of a conversation is online. While there is a block the
// client is told that it is not.
func (l *list) presence(id room.ID, blocks quiet, online bool, lastSeen time.Time) {
	if e := l.entries[id]; e != nil {
		e.blocks, e.online, e.lastSeen = blocks, online, lastSeen
		l.showPresence(e)
	}
}

// showPresence queues the presence of the other side if the client is to be told.
func (l *list) showPresence(e *entry) {
	e.tellPresence = e.presenceChanged()
	l.enqueue(e)
}

// showAllPresence finds the conversations whose block was set or lifted.
func (l *list) showAllPresence() {
	for _, e := range l.entries {
		if e.presenceChanged() {
			l.showPresence(e)
		}
	}
}

// presenceChanged reports whether the client is to be told of the presence of the other side. When
// somebody who is online was seen before does not matter.
func (e *entry) presenceChanged() bool {
	if e.quiet() {
		return e.told
	}
	return e.online != e.told || !e.online && !e.lastSeen.Equal(e.toldSeen)
}

func (e *entry) quiet() bool { return e.blocks != nil && e.blocks.Any() }

func (l *list) enqueue(e *entry) {
	if !e.queued && (e.tellState || e.tellRead || e.tellPresence) {
		e.queued = true
		l.queue = append(l.queue, e)
	}
}

// next returns the next frame, or nil if there is none. Frames about presence wait for complete.
func (l *list) next(complete bool) []byte {
	for range len(l.queue) {
		e := l.queue[0]
		l.queue = l.queue[1:]
		f := l.frame(e, complete)
		if e.queued = e.tellState || e.tellRead || e.tellPresence; e.queued {
			l.queue = append(l.queue, e)
		}
		if f != nil {
			return f
		}
	}
	if len(l.queue) == 0 {
		l.queue = nil // an idle socket keeps no memory for it
	}
	return nil
}

// frame returns a frame that is to be sent of an entry, or nil if there is none now.
func (l *list) frame(e *entry, complete bool) []byte {
	switch {
	case e.tellRead:
		e.tellRead = false
		return frame.Encode(frame.Receipt{Type: frame.TypeRead, ConversationID: e.id.String(), UserID: l.user, Seq: e.read})
	case e.tellState && !e.stale:
		e.tellState = false
		c := frame.Conversation{
			Type: frame.TypeConversation, ConversationID: e.id.String(), CustomerID: e.room.Customer, TherapistID: e.room.Therapist,
			LastSeq: e.last, Unread: e.unread, Message: e.text,
		}
		if !e.at.IsZero() {
			c.LastMessageAt = e.at.UTC().Format(frame.TimeLayout)
		}
		return frame.Encode(c)
	case e.tellPresence && complete && !e.tellState:
		e.tellPresence = false
		if !e.presenceChanged() { // since it was queued
			return nil
		}
		if e.told, e.toldSeen = e.online, e.lastSeen; e.quiet() {
			e.told, e.toldSeen = false, time.Time{}
		}
		p := frame.Presence{Type: frame.TypePresence, ConversationID: e.id.String(), UserID: e.room.Other(l.user), Online: e.told}
		if !e.toldSeen.IsZero() {
			p.LastSeen = e.toldSeen.UTC().Format(frame.TimeLayout)
		}
		return frame.Encode(p)
	}
	return nil
}
