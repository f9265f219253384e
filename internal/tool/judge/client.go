package judge

import "fmt"

// A view is what one client has seen so far: over its sockets, and on the one of
// now.
type view struct {
	court *court
	head  *Entry
	chat  *chat

	begun   bool
	highest int64 // everything from its first socket's start up to here was seen
	sockets int
	state   Kind // Stayed, Left or GaveUp once it is over
	waiting map[string]*waiting
	told    bool // of a hole over its sockets, once

	ref        string
	open       bool
	next       int64          // the seq that has to come now
	missing    map[int64]bool // seqs that the socket has skipped
	resumeFrom int64          // what the replay is to begin with
	resumeTo   int64          // and to end with
	replaying  bool           // the replay is not over
}

// waiting is a message that was sent and is not acknowledged.
type waiting struct {
	text string
	at   int64
}

// views follows every client through its history.
func (c *court) views() error {
	var v *view
	err := c.histories(func(head *Entry, _ int, e *Entry) error {
		if v == nil || v.head != head {
			v.end()
			v = &view{court: c, head: head, chat: c.store.of(head.room()), waiting: map[string]*waiting{}}
			c.verdict.Clients++
		}
		v.take(e)
		return nil
	})
	v.end()
	return err
}

func (v *view) take(e *Entry) {
	switch e.Kind {
	case Connected:
		v.connect(e)
	case Resumed:
		v.resumed(e)
	case Received:
		v.receive(e)
	case Sent:
		v.sent(e)
	case Acknowledged:
		delete(v.waiting, e.ClientMessageID)
	case Closed:
		v.close()
	case Refused:
		delete(v.waiting, e.ClientMessageID)
		v.found(SentAway, e, "the message was refused: "+e.Detail)
	case GaveUp:
		v.state = GaveUp
		v.found(SentAway, e, "the client was told never to come back: "+e.Detail)
	case Left, Stayed:
		v.state = e.Kind
	case Begins, Deferred:
	default:
		v.found(BrokenRecord, e, "an entry of the unknown kind "+string(e.Kind))
	}
}

func (v *view) found(b Breach, e *Entry, detail string) {
	v.court.found(Violation{
		Breach: b, Client: v.head.Client, Ref: e.Ref, Customer: v.head.Customer, Therapist: v.head.Therapist,
		Seq: e.Seq, ID: e.ID, Sender: e.Sender, ClientMessageID: e.ClientMessageID, Detail: detail,
	})
}

// sent notes what has to be acknowledged in the end.
func (v *view) sent(e *Entry) {
	if v.waiting[e.ClientMessageID] == nil {
		v.waiting[e.ClientMessageID] = &waiting{e.Text, e.At}
	}
	seq, stored := v.chat.bySender[sending{v.head.User, e.ClientMessageID}]
	if stored && v.chat.messages[seq].text != e.Text {
		v.found(Differs, e, "the text that was sent is not the one that is stored")
	}
}

// receive judges one message by the store, by its socket and by what the client
// had before.
func (v *view) receive(e *Entry) {
	switch m := v.chat.messages[e.Seq]; {
	case m == nil:
		v.found(Phantom, e, "it was seen, and is not in the store")
	case m.id != e.ID || m.sending.sender != e.Sender || m.sending.id != e.ClientMessageID || m.text != e.Text:
		v.found(Differs, e, fmt.Sprintf("stored are id %s, sender %d, client_message_id %q, text %s", m.id, m.sending.sender, m.sending.id, m.text))
	case m.acknowledged != 0 && e.Seq > v.highest && e.At > v.court.due(m.acknowledged):
		v.found(Late, e, fmt.Sprintf("it was acknowledged %.1f s before, and the last fault ended %.1f s before",
			seconds(e.At-m.acknowledged), seconds(e.At-v.court.fault)))
	}
	v.onSocket(e)
	switch {
	case e.Seq == v.highest+1:
		v.highest = e.Seq
	case e.Seq > v.highest+1 && !v.told && len(v.missing) == 0:
		v.told = true
		v.found(Hole, e, fmt.Sprintf("over its sockets the client has seen up to %d, then this", v.highest))
	}
}

func seconds(microseconds int64) float64 { return float64(microseconds) / 1e6 }

// end judges what is left when the history is over.
func (v *view) end() {
	if v == nil {
		return
	}
	v.close()
	v.court.verdict.Reconnects += max(0, v.sockets-1)
	if v.state == "" {
		v.found(BrokenRecord, &Entry{}, "the history does not say whether the client left or stayed")
		return
	}
	if v.state != Stayed {
		return
	}
	for seq := v.highest + 1; seq <= v.chat.last; seq++ {
		m := v.chat.messages[seq]
		if m == nil || m.acknowledged == 0 || v.court.due(m.acknowledged) > v.court.run.Ended {
			continue
		}
		v.found(Lost, &Entry{Seq: seq, ID: m.id, Sender: m.sending.sender, ClientMessageID: m.sending.id},
			fmt.Sprintf("it was acknowledged, and the client never saw it: it stopped at %d", v.highest))
		break // those after it are lost with it
	}
	for id, w := range v.waiting {
		if v.court.due(w.at) <= v.court.run.Ended {
			v.found(Unanswered, &Entry{ClientMessageID: id, Sender: v.head.User}, "it was sent, and was never acknowledged")
		}
	}
}
