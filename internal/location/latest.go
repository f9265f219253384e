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
	user     room.UserID
	sender   event.ProcessID // of the event
	counter  uint64          // of the event
	recorded int64           // Unix milliseconds; 0 if the sender gave none
	frame    []byte
	unsent   bool
}

// put adds a position. It reports whether the position is newer than the one of the
// same user, and whether it replaced one that was not sent. An event that a process sealed
// before the one that is known is no newer one: perhaps somebody has sent a copy.
func (l *latest) put(e entry) (changed, dropped bool) {
	e.unsent = true
	for i := range *l {
		old := &(*l)[i]
		if old.user != e.user {
			continue
		}
		if e.sender == old.sender && e.counter <= old.counter {
			return false, false
		}
		newer := room.Position{RecordedAt: recordedAt(e.recorded)}.Newer(room.Position{RecordedAt: recordedAt(old.recorded)})
		if !newer {
			return false, false
		}
		dropped = old.unsent
		*old = e
		return true, dropped
	}
	*l = append(*l, e)
	return true, false
}

func recordedAt(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// take returns the frame of a position that was not sent, or nil. It keeps only the
// time of recording.
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
