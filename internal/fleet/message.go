package fleet

import (
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// A handler receives the events of one kind.
type handler struct {
	deliver func(event.Event) error // an error means that the body cannot be read
	missed  func()
}

// Handle registers the handler of the events with bodies of type B, which are JSON. Call it
// before [Fleet.Run].
//
// deliver gets every event of the kind, those of this replica included, and the process
// that sent it, which may be a command. missed, which may be nil, is called when events may
// have been lost. Neither may block.
func Handle[B event.Body](f *Fleet, deliver func(sender event.ProcessID, body B), missed func()) {
	HandleRead(f, event.Read[B], deliver, missed)
}

// HandleRead is [Handle] for bodies that read decodes.
func HandleRead[B event.Body](f *Fleet, read func([]byte) (B, error), deliver func(sender event.ProcessID, body B), missed func()) {
	if missed == nil {
		missed = func() {}
	}
	var zero B
	f.handlers[zero.Kind()] = handler{missed: missed, deliver: func(e event.Event) error {
		body, err := read(e.Body)
		if err == nil {
			deliver(e.Sender, body)
		}
		return err //nolint:wrapcheck // only whether it is nil counts
	}}
}

// Publish sends an event to every replica, this one included. It never blocks. done, if it
// is not nil, is called once: with nil when Redis has the event.
func (f *Fleet) Publish(body event.Body, done func(error)) { f.layer.Publish(group, body, done) }

// Announce sends an event to every replica on behalf of a process that is none, such as a
// command. publish gets the control group and the event.
func Announce(body event.Body, publish func(group string, body event.Body) error) error {
	return publish(group, body)
}

// receive handles an event of the control group. It does not block.
func (f *Fleet) receive(e event.Event) {
	isNew := f.hear(&e, time.Now())
	h, known := f.handlers[e.Kind]
	switch {
	case !isNew:
	case !known:
		f.missed(false) // a newer release may use the group for more; whom it concerns is not known
	case h.deliver(e) != nil:
		h.missed()
	}
}

// missed tells every handler that events may have been lost.
func (f *Fleet) missed(bool) {
	for _, h := range f.handlers {
		h.missed()
	}
}
