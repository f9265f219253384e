package location

import (
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// latest is the newest position of each sender of a room: what a socket has yet
// to be sent is never a queue, but at most one position a sender. It is pure.
type latest []entry

type entry struct {
	user     room.UserID
	recorded int64 // Unix milliseconds as the sender gave it, 0 if it gave none
	frame    []byte
	unsent   bool
}

// put takes a position in. It reports whether it is news, and whether it took the
// place of one that was never sent.
func (l *latest) put(e entry) (news, dropped bool) {
	e.unsent = true
	for i := range *l {
		old := &(*l)[i]
		if old.user != e.user {
			continue
		}
		newer := room.Position{RecordedAt: at(e.recorded)}.Newer(room.Position{RecordedAt: at(old.recorded)})
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

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// take returns a position that was not sent yet, or nil. Its frame is not kept:
// what remains is when it was recorded.
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
