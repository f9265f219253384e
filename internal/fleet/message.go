package fleet

import (
	"encoding/json"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// version is the version of the envelope.
const version = 1

// An envelope carries one message, as JSON.
type envelope struct {
	Version int             `json:"v"`
	Kind    string          `json:"kind"`
	Sender  string          `json:"sender,omitempty"` // empty if it is no replica
	Body    json.RawMessage `json:"body"`
}

func pack(sender string, body event.Body) []byte {
	text, err := json.Marshal(envelope{version, body.Kind().String(), sender, body.AppendTo(nil)})
	if err != nil {
		panic("encode a message: " + err.Error()) // all kinds are our own
	}
	return text
}

// A handler receives the messages of one kind.
type handler struct {
	deliver func(envelope) error // an error means that the body cannot be read
	missed  func()
}

// Handle registers the handler of a kind of message. Call it before [Fleet.Run].
//
// deliver gets every message of the kind, those of this replica included, and the id
// of its sender, which is empty if a command has sent it. missed, which may be nil,
// is called when messages may have been lost, and when a message cannot be read,
// because a newer release has sent it for instance. Neither may block.
func Handle[B event.Body](f *Fleet, deliver func(sender event.ProcessID, body B), missed func()) {
	if missed == nil {
		missed = func() {}
	}
	var zero B
	f.handlers[zero.Kind().String()] = handler{missed: missed, deliver: func(e envelope) error {
		body, err := event.Read[B](e.Body)
		if err != nil {
			return err
		}
		var sender event.ProcessID
		copy(sender[:], e.Sender)
		deliver(sender, body)
		return nil
	}}
}

// Publish sends a message to every replica, this one included. It never blocks. done,
// if it is not nil, is called once: with nil when Redis has the message.
func (f *Fleet) Publish(body event.Body, done func(error)) {
	f.layer.Publish(group, pack(f.own.ID, body), done)
}

// Announce sends a message to every replica on behalf of a process that is none, such
// as a command. publish gets the control group and the body.
func Announce(body event.Body, publish func(group string, body event.Body) error) error {
	return publish(group, body)
}

// receive handles a payload of the control group. It does not block.
func (f *Fleet) receive(payload []byte) {
	var e envelope
	err := json.Unmarshal(payload, &e)
	if err == nil && e.Sender != "" {
		f.hear(e.Sender, time.Now()) // whatever its version
	}
	h, known := f.handlers[e.Kind]
	switch {
	case err != nil || e.Version != version || !known:
		f.metrics.unreadable.Inc()
		f.missed() // whom it concerns is not known
	case h.deliver(e) != nil:
		f.metrics.unreadable.Inc()
		h.missed()
	}
}

// missed tells every handler that messages may have been lost.
func (f *Fleet) missed() {
	for _, h := range f.handlers {
		h.missed()
	}
}
