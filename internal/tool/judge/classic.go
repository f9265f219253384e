package judge

import "fmt"

// joinLimit is how long after the upgrade a classic socket receives the messages of its room, in
// microseconds. No frame says when it does.
const joinLimit = 10e6

// A classicState is what one classic client has sent and received on its current socket. Its
// first frame decides where the socket begins.
type classicState struct {
	clientState

	opened   int64
	pending  []sending // sends of the socket whose frame has not come back, in order
	lastSent int64     // the highest seq of the sends of the socket
	skipped  string    // text of a send of the socket that is not stored; empty: there is none
}

// checkClassic follows every classic client through its history. The database must not have been
// rewound.
func (c *checker) checkClassic() error {
	if err := c.checkAnswers(); err != nil {
		return err
	}
	var s *classicState
	err := c.eachEntry(func(head, e *Entry) error {
		if !head.Classic {
			return nil
		}
		if s == nil || s.head != head {
			s.finish()
			s = &classicState{clientState: clientState{checker: c, head: head, conv: c.conversation(head.room())}}
			c.verdict.Clients++
			c.verdict.Classic.Clients++
		}
		s.handle(e)
		return nil
	})
	s.finish()
	return err
}

// checkAnswers records when the own frame of each classic send came back, which acknowledges it.
func (c *checker) checkAnswers() error {
	sent := map[string]bool{}
	return c.eachEntry(func(head, e *Entry) error {
		switch {
		case !head.Classic:
		case e.Kind == Begins:
			clear(sent)
		case e.Kind == Sent:
			sent[e.Text] = true
		case e.Kind == Received && e.Sender == head.User && sent[e.Text]:
			delete(sent, e.Text)
			conv := c.conversation(head.room())
			m := conv.messages[conv.numbers[e.Number]]
			if m == nil {
				return nil // see handleReceived
			}
			if m.acknowledged == 0 {
				c.verdict.Messages++
				m.acknowledged = e.At
			}
			m.acknowledged = min(m.acknowledged, e.At)
		}
		return nil
	})
}

func (s *classicState) handle(e *Entry) {
	switch e.Kind { //nolint:exhaustive // a classic client knows no others
	case Begins:
	case Connected:
		s.endSocket(false)
		s.sockets++
		s.ref, s.open, s.opened, s.next, s.missing = e.Ref, true, e.At, 0, nil
		s.pending, s.lastSent, s.skipped = nil, 0, ""
	case Sent:
		s.handleSent(e)
	case Received:
		s.handleReceived(e)
	case Foreign:
		s.add(ForeignFrame, e, "it is not a message of the predecessor: "+e.Detail)
	case Closed:
		s.endSocket(e.At >= s.checker.run.Ended)
	case Left, Stayed:
		s.end = e.Kind
	default:
		s.add(BrokenRecord, e, "unknown kind of entry of a classic client: "+string(e.Kind))
	}
}

// handleSent looks whether the message is stored: the sends of a socket are stored in order, none
// of them twice, and none after one that is not.
func (s *classicState) handleSent(e *Entry) {
	s.pending = append(s.pending, sending{e.Text, e.At})
	where, stored := s.conv.texts[textKey{s.head.User, e.Text}]
	about := &Entry{Ref: e.Ref, Seq: where.first, Text: e.Text, Sender: s.head.User}
	switch {
	case !stored && s.skipped == "":
		s.skipped = e.Text
	case !stored:
	case where.first != where.last:
		s.add(OneIDTwice, about, fmt.Sprintf("the message was sent once, but is stored as seq %d too", where.last))
	case s.skipped != "":
		about.Text = s.skipped
		s.add(NotStored, about, "the message is not stored, but a later one of the same socket is")
		s.skipped = ""
	case where.first < s.lastSent:
		s.add(Reordered, about, fmt.Sprintf("the socket sent it after the message that is stored as seq %d", s.lastSent))
	}
	s.lastSent = max(s.lastSent, where.last)
}

// handleReceived checks a frame against the store and against its socket.
func (s *classicState) handleReceived(e *Entry) {
	s.checker.verdict.Classic.Received++
	at := *e
	at.Seq = s.conv.numbers[e.Number]
	m := s.conv.messages[at.Seq]
	switch {
	case m == nil:
		s.add(Phantom, &at, fmt.Sprintf("the client received message %d, which is not stored", e.Number))
		return
	case m.key.sender != e.Sender || m.text != e.Text:
		s.add(Differs, &at, fmt.Sprintf("the stored message has sender %d and text %s", m.key.sender, m.text))
	case m.acknowledged != 0 && e.At > s.checker.deadline(m.acknowledged):
		s.add(Late, &at, fmt.Sprintf("received %.1f s after its acknowledgement", seconds(e.At-m.acknowledged)))
	}
	if s.next == 0 {
		s.next = at.Seq
	}
	s.checkSocket(&at)
	s.takeAnswer(&at)
}

// takeAnswer removes a send whose frame came back. Those before it must have come back before.
func (s *classicState) takeAnswer(e *Entry) {
	if e.Sender != s.head.User {
		return
	}
	for i, p := range s.pending {
		if p.text != e.Text {
			continue
		}
		if i > 0 {
			s.add(Hole, &Entry{Ref: e.Ref, Text: s.pending[0].text, Sender: e.Sender}, "the frame of a later send of the socket came back before")
		}
		s.giveUp(s.pending[:i])
		s.pending = s.pending[i+1:]
		s.checker.verdict.Classic.Answered++
		return
	}
}

// giveUp counts sends whose frame did not come back.
func (s *classicState) giveUp(sends []sending) {
	counts := &s.checker.verdict.Classic
	counts.Unanswered += len(sends)
	for _, p := range sends {
		if s.conv.texts[textKey{s.head.User, p.text}].first > 0 {
			counts.Stored++
		}
	}
}

// endSocket ends the current socket. If it was open when the run ended, it must have received
// everything.
func (s *classicState) endSocket(atEnd bool) {
	if !s.open {
		return
	}
	s.closeSocket()
	s.giveUp(s.pending)
	if !atEnd {
		return
	}
	ended := s.checker.run.Ended
	for _, p := range s.pending {
		if s.checker.deadline(p.at) <= ended {
			s.add(Unanswered, &Entry{Ref: s.ref, Text: p.text, Sender: s.head.User}, "the socket stayed open, but the frame of the message never came back")
			break // the following ones are lost as well
		}
	}
	for seq := max(s.next, 1); seq <= s.conv.last; seq++ {
		m := s.conv.messages[seq]
		if m == nil || m.acknowledged == 0 || s.checker.deadline(m.acknowledged) > ended || s.next == 0 && m.acknowledged < s.opened+joinLimit {
			continue
		}
		s.add(Lost, &Entry{Ref: s.ref, Seq: seq, ID: m.id, Sender: m.key.sender, Text: m.text}, "the message was acknowledged, but the socket, which was open to the end, did not receive it")
		break // as above
	}
}

// finish checks what is outstanding at the end of the history.
func (s *classicState) finish() {
	if s == nil {
		return
	}
	s.endSocket(s.end != Left)
	s.checker.verdict.Reconnects += max(0, s.sockets-1)
	if s.end == "" {
		s.add(BrokenRecord, &Entry{}, "the history does not say whether the client left or stayed")
	}
}
