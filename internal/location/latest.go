package location

import (
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// latest holds the newest position of each sender of a room. Of the positions that a
// socket has not been sent it keeps at most one per sender, so it is never a queue.
// It does no I/O and is not safe for concurrent use.
type latest []entry

type entry struct {
	user    room.UserID
	sender  event.ProcessID // of the event
	counter uint64          // of the event
	at      time.Time       // of the event
	stored  bool            // read from the store, not received
	frame   []byte
	unsent  bool
}

// put adds a position. It reports whether the position is newer than the one of the
// same user, and whether it replaced one that was not sent. What arrives later is newer, with
// two exceptions. An event that its process sealed before the one that is known is perhaps a
// copy that somebody has sent. A stored one may have been read before the one that is known
// arrived, so it must have been sealed later.
//
// Times of recording do not matter here: devices of one user have clocks of their own.
func (l *latest) put(e entry) (changed, dropped bool) {
	e.unsent = true
	for i := range *l {
		old := &(*l)[i]
		if old.user != e.user {
			continue
		}
		if e.sender == old.sender && e.counter <= old.counter || e.stored && !e.at.After(old.at) {
			return false, false
		}
		dropped = old.unsent
		*old = e
		return true, dropped
	}
	*l = append(*l, e)
	return true, false
}

// take returns the frame of a position that was not sent, or nil. It keeps what put compares.
func (l latest) take() []byte {
	for i := range l {
		if l[i].unsent {
			f := l[i].frame
			l[i].unsent, l[i].frame = false, nil
			return f
		}
	}
	return nil
}
