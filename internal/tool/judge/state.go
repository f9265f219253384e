package judge

import (
	"errors"
	"fmt"
	"io/fs"
)

// maxUnread is the number up to which the server counts unread messages.
const maxUnread = 1000

// A mark is how far a user has received and read a conversation.
type mark struct{ delivered, read int64 }

// with returns the mark raised by what an entry says. Read implies delivered.
func (m mark) with(e *Entry) mark {
	if e.Delivered != nil {
		m.delivered = max(m.delivered, *e.Delivered)
	}
	if e.Read != nil {
		m.read = max(m.read, *e.Read)
	}
	m.delivered = max(m.delivered, m.read)
	return m
}

// isBelow reports whether an entry says less than the mark.
func (e *Entry) isBelow(m mark) bool {
	return e.Delivered != nil && *e.Delivered < m.delivered || e.Read != nil && *e.Read < m.read
}

// A view is what one device was told about the state of its conversation.
type view struct {
	head    Entry
	end     Kind
	ref     string
	open    bool
	changed int64          // when the device last did something that changes the state
	based   int64          // when it last began anew: at its first connection or a reset
	cursors map[int64]mark // by user
	told    map[int64]bool // users whose cursor was told on the current socket
	marked  mark           // what the device has marked itself
	unread  *int
	online  map[int64]bool

	at map[Breach]int64 // when what a breach is about was last told
}

// readCursors reads the cursors of the store, if there are any.
func (c *checker) readCursors() error {
	rooms := map[string]roomKey{}
	err := eachLine(c.dir, ConversationsFile, func(_ int, v *Conversation, _ []byte) error {
		rooms[v.ID] = roomKey{v.Customer, v.Therapist}
		return nil
	})
	if err != nil {
		return err
	}
	err = eachLine(c.dir, CursorsFile, func(n int, v *Cursor, _ []byte) error {
		room, ok := rooms[v.Conversation]
		if !ok {
			return fmt.Errorf("%s:%d: conversation %s is not in %s", CursorsFile, n, v.Conversation, ConversationsFile)
		}
		conv := c.conversation(room)
		if conv.cursors == nil {
			conv.cursors = map[int64]Cursor{}
		}
		conv.cursors[v.User] = *v
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// checkStates follows what each device was told about the state of its conversation, and
// compares the devices of each room in the end.
func (c *checker) checkStates() error {
	views := map[roomKey][]*view{}
	var v *view
	err := c.eachEntry(func(head, e *Entry) error {
		if !head.State {
			return nil
		}
		if e.Kind == Begins {
			v = &view{head: *head, cursors: map[int64]mark{}, at: map[Breach]int64{}}
			views[head.room()] = append(views[head.room()], v)
			return nil
		}
		if isEnd := e.Kind == Stayed || e.Kind == Left; isEnd || e.At <= c.run.Ended { // afterwards the devices leave
			v.handle(c, e)
		}
		return nil
	})
	for room, devices := range views {
		conv := c.conversation(room)
		if conv.cursors == nil || c.deadline(lastChange(devices)) > c.run.Ended {
			continue
		}
		for _, found := range compareViews(devices, conv.cursors) {
			c.add(found)
		}
	}
	return err
}

// lastChange returns when a device last changed the state of the room.
func lastChange(devices []*view) (at int64) {
	for _, v := range devices {
		at = max(at, v.changed)
	}
	return at
}

func (v *view) handle(c *checker, e *Entry) {
	switch e.Kind { //nolint:exhaustive // the others are about messages
	case Connected:
		v.ref, v.open, v.changed = e.Ref, true, e.At
		v.told, v.online, v.unread = map[int64]bool{}, map[int64]bool{}, nil
		if v.based == 0 {
			v.based = e.At
		}
	case Closed:
		v.open, v.changed = false, e.At
	case Stayed, Left, GaveUp:
		v.end = e.Kind
	case Sent, Acknowledged:
		v.changed = e.At
	case Marked:
		v.changed, v.marked = e.At, v.marked.with(e)
	case Forgot:
		v.marked = mark{}
	case Resumed:
		if e.Reset {
			v.based, v.changed, v.cursors, v.unread = e.At, e.At, map[int64]mark{}, nil
		}
	case Told:
		v.handleTold(c, e)
	case Counted:
		v.handleCounted(c, e)
	case Presence:
		v.online[e.Of], v.at[PresenceDiffers] = e.Online, e.At
	case Typing:
		if e.Of == v.head.User {
			c.add(v.violation(OwnTyping, e, "the client was told that its own user types"))
		}
	}
}

// hasOldBase reports whether the device may still know what the database has lost.
func (v *view) hasOldBase(c *checker, at int64) bool {
	return c.isRewound(at) && v.based <= c.rewindEnded
}

func (v *view) handleTold(c *checker, e *Entry) {
	before := v.cursors[e.Of]
	switch {
	case !e.isBelow(before):
	case v.hasOldBase(c, e.At):
		before = mark{}
	default:
		c.add(v.violation(CursorLowered, e, fmt.Sprintf("the client knew that user %d had received seq %d and read seq %d, and was told less", e.Of, before.delivered, before.read)))
	}
	v.cursors[e.Of], v.told[e.Of], v.at[CursorDiffers] = before.with(e), true, e.At
}

// handleCounted takes the number of unread messages. If the read cursor that it is based on was
// told with it, it can be counted again at once.
func (v *view) handleCounted(c *checker, e *Entry) {
	n := e.Unread
	v.unread, v.at[UnreadDiffers] = &n, e.At
	if e.Read == nil || e.At <= c.rewindEnded || v.hasOldBase(c, e.At) {
		return // without the cursor, or of messages that the database may have lost
	}
	if want := countUnread(c.conversation(v.head.room()), v.head.User, *e.Read, e.Seq); n != want {
		c.add(v.violation(UnreadDiffers, e, fmt.Sprintf("the client was told that %d messages from seq %d to %d are unread, but there are %d", n, *e.Read+1, e.Seq, want)))
	}
}

// countUnread returns the number of messages of others after one seq and up to another.
func countUnread(conv *conversation, user, after, last int64) (n int) {
	for seq := after + 1; seq <= last && n < maxUnread; seq++ {
		if m := conv.messages[seq]; m != nil && m.key.sender != user {
			n++
		}
	}
	return n
}

// compareViews compares the devices of a room that stayed with the stored cursors of both sides,
// and with each other, when everything must have reached them.
func compareViews(devices []*view, stored map[int64]Cursor) (found []Violation) {
	online := map[int64]bool{}
	for _, v := range devices {
		online[v.head.User] = online[v.head.User] || v.isLive()
	}
	for _, v := range devices {
		own, isSide := stored[v.head.User]
		if !v.isLive() || !isSide {
			continue
		}
		for user, s := range stored {
			now := v.cursors[user]
			differs := now != mark{s.Delivered, s.Read}
			if v.head.Inbox { // it is told only what its own user reads meanwhile
				differs = user == v.head.User && v.told[user] && now.read != s.Read
			}
			if differs {
				found = append(found, v.final(CursorDiffers, fmt.Sprintf("the client has seq %d and %d as delivered to and read by user %d, but seq %d and %d are stored", now.delivered, now.read, user, s.Delivered, s.Read)))
			}
			if user != v.head.User && online[user] && !v.online[user] {
				found = append(found, v.final(PresenceDiffers, fmt.Sprintf("user %d is connected, but the client was not told so", user)))
			}
		}
		if v.marked.delivered > own.Delivered || v.marked.read > own.Read {
			found = append(found, v.final(ReceiptLost, fmt.Sprintf("the client has marked seq %d as delivered and seq %d as read, but seq %d and %d are stored", v.marked.delivered, v.marked.read, own.Delivered, own.Read)))
		}
		if v.head.Inbox && (v.unread == nil || *v.unread != own.Unread) {
			told := "no number"
			if v.unread != nil {
				told = fmt.Sprint(*v.unread)
			}
			found = append(found, v.final(UnreadDiffers, fmt.Sprintf("the client was told %s of unread messages, but there are %d", told, own.Unread)))
		}
	}
	return found
}

// isLive reports whether the device was connected when the run ended.
func (v *view) isLive() bool { return v.open && v.end == Stayed }

func (v *view) violation(b Breach, e *Entry, detail string) Violation {
	return Violation{
		Breach: b, Client: v.head.Client, Ref: e.Ref, Customer: v.head.Customer, Therapist: v.head.Therapist,
		Seq: e.Seq, Detail: detail, state: true, at: e.At,
	}
}

// final returns a violation of the state at the end.
func (v *view) final(b Breach, detail string) Violation {
	return v.violation(b, &Entry{Ref: v.ref, At: v.at[b]}, detail)
}
