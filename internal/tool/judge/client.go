package judge

import "fmt"

// A clientState is what one client has received so far, in total and on its current socket.
type clientState struct {
	checker *checker
	head    *Entry
	conv    *conversation

	connected bool  // at least once
	highest   int64 // the client has received everything from its first connection up to this seq
	sockets   int
	end       Kind               // Stayed, Left or GaveUp; empty until then
	unacked   map[string]sending // by client_message_id
	lastSent  int64              // highest seq of a message that was sent, if the client keeps their order
	holeFound bool               // across sockets; reported only once
	rewind    rewindState

	ref        string
	open       bool
	next       int64          // seq that must arrive next
	missing    map[int64]bool // seqs that the socket has skipped
	replaying  bool
	resumeFrom int64 // first seq of the replay
	resumeTo   int64 // last seq of the replay
}

// A sending is a message that was sent and is not yet acknowledged.
type sending struct {
	text string
	at   int64
}

// checkClients follows every client through its history.
func (c *checker) checkClients() error {
	var s *clientState
	err := c.eachEntry(func(head, e *Entry) error {
		switch {
		case head.Classic:
			return nil // see checkClassic
		case head.Inbox:
			c.countInbox(e)
			return nil
		}
		if s == nil || s.head != head {
			s.finish()
			s = &clientState{checker: c, head: head, conv: c.conversation(head.room()), unacked: map[string]sending{}}
			c.verdict.Clients++
		}
		s.handle(e)
		return nil
	})
	s.finish()
	return err
}

// countInbox counts the clients and sockets that get no messages.
func (c *checker) countInbox(e *Entry) {
	switch e.Kind { //nolint:exhaustive // the others do not count
	case Begins:
		c.verdict.Clients++
		c.verdict.Reconnects-- // the first socket is none
	case Connected:
		c.verdict.Reconnects++
	}
}

func (s *clientState) handle(e *Entry) {
	if s.open && !s.replaying {
		s.rewind.lastOpen = e.At
	}
	switch e.Kind {
	case Connected:
		s.handleConnected(e)
	case Resumed:
		s.handleResumed(e)
	case Received:
		s.handleReceived(e)
	case Sent:
		s.handleSent(e)
	case Acknowledged:
		delete(s.unacked, e.ClientMessageID)
	case Closed:
		s.closeSocket()
	case Refused:
		delete(s.unacked, e.ClientMessageID)
		s.add(SentAway, e, "the message was refused: "+e.Detail)
	case GaveUp:
		s.end = GaveUp
		s.add(SentAway, e, "the client was told not to reconnect: "+e.Detail)
	case Left, Stayed:
		s.end = e.Kind
	case Begins, Deferred, Marked, Forgot, Told, Counted, Presence, Typing: // see checkStates
	default:
		s.add(BrokenRecord, e, "unknown kind of entry: "+string(e.Kind))
	}
}

func (s *clientState) add(b Breach, e *Entry, detail string) {
	s.checker.add(s.violation(b, e, detail))
}

func (s *clientState) violation(b Breach, e *Entry, detail string) Violation {
	v := Violation{
		Breach: b, Client: s.head.Client, Ref: e.Ref, Customer: s.head.Customer, Therapist: s.head.Therapist,
		Seq: e.Seq, ID: e.ID, Sender: e.Sender, ClientMessageID: e.ClientMessageID, Detail: detail,
	}
	if s.head.Classic {
		v.Text = e.Text
	}
	return v
}

// handleConnected begins a socket. It must receive the stored messages in order, from the
// point that the client asked for or else after the conversation's last message.
func (s *clientState) handleConnected(e *Entry) {
	s.closeSocket()
	s.sockets++
	s.ref, s.open, s.missing, s.replaying = e.Ref, true, nil, e.Since != nil
	s.next = e.Seq + 1
	if e.Since != nil {
		s.resumeFrom, s.resumeTo = *e.Since+1, e.Seq
		s.next = s.resumeFrom
		if *e.Since > e.Seq && !s.checker.isRewound(e.At) {
			s.add(BadResume, e, fmt.Sprintf("the client had received seq %d, but the server's last seq was lower", *e.Since))
		}
	}
	if !s.connected {
		s.connected, s.highest = true, s.next-1
		s.rewind.based = e.At
	}
}

func (s *clientState) handleResumed(e *Entry) {
	switch {
	case e.Reset && s.checker.rewindBegan != 0:
		s.handleReset(e)
	case e.Ref != s.ref || !s.replaying:
		s.add(BadResume, e, "the client had not asked for a replay")
	case e.Reset:
		s.add(BadResume, e, "the server says that it has lost messages")
	case e.From != s.resumeFrom || e.Seq != s.resumeTo:
		s.add(BadResume, e, fmt.Sprintf("the server says that it replayed seq %d to %d, but seq %d to %d were asked for", e.From, e.Seq, s.resumeFrom, s.resumeTo))
	case s.next <= e.Seq:
		s.add(Hole, e, fmt.Sprintf("the server says that the replay is complete, but seq %d has not arrived", s.next))
	}
	s.replaying = false
}

func (s *clientState) handleSent(e *Entry) {
	if _, known := s.unacked[e.ClientMessageID]; !known {
		s.unacked[e.ClientMessageID] = sending{e.Text, e.At}
	}
	seq, stored := s.conv.seqs[sendKey{s.head.User, e.ClientMessageID}]
	if stored && s.conv.messages[seq].text != e.Text {
		s.add(Differs, e, "the stored text is not the one that was sent")
	}
	if stored && s.head.InOrder && seq < s.lastSent && !s.checker.isRewound(e.At) {
		s.add(Reordered, e, fmt.Sprintf("it is stored as seq %d, but the client sent it after the message that is stored as seq %d", seq, s.lastSent))
	}
	s.lastSent = max(s.lastSent, seq)
}

// handleReceived checks a message against the store, against its socket and against what
// the client had received before.
func (s *clientState) handleReceived(e *Entry) {
	switch m := s.conv.messages[e.Seq]; {
	case m == nil:
		s.addUnlessReset(Phantom, e, "the client received a message that is not stored")
	case m.id != e.ID || m.key.sender != e.Sender || m.key.id != e.ClientMessageID || m.text != e.Text:
		s.addUnlessReset(Differs, e, fmt.Sprintf("the stored message has id %s, sender %d, client_message_id %q and text %s", m.id, m.key.sender, m.key.id, m.text))
	case m.acknowledged != 0 && e.Seq > s.highest && e.At > s.checker.deadline(m.acknowledged):
		s.add(Late, e, fmt.Sprintf("received %.1f s after its acknowledgement and %.1f s after the end of the last fault",
			seconds(e.At-m.acknowledged), seconds(e.At-s.checker.lastFaultEnd)))
	}
	s.noteReceived(e)
	s.checkSocket(e)
	switch {
	case e.Seq == s.highest+1:
		s.highest = e.Seq
	case e.Seq > s.highest+1 && !s.holeFound && len(s.missing) == 0:
		s.holeFound = true
		s.add(Hole, e, fmt.Sprintf("across its sockets the client had received everything up to seq %d", s.highest))
	}
}

// checkSocket checks a message against those that arrived before on the same socket.
func (s *clientState) checkSocket(e *Entry) {
	switch {
	case !s.open || e.Ref != s.ref:
		s.add(BrokenRecord, e, "a message arrived on a socket that was not connected")
		return
	case s.replaying && e.Seq > s.resumeTo:
		s.add(BadResume, e, "a live message arrived before the replay was complete")
	}
	switch {
	case e.Seq == s.next:
		s.next++
	case e.Seq > s.next:
		if s.missing == nil {
			s.missing = map[int64]bool{}
		}
		for seq := s.next; seq < e.Seq && seq < s.next+1000; seq++ { // an invalid seq must not exhaust the memory
			s.missing[seq] = true
		}
		s.next = e.Seq + 1
	case s.missing[e.Seq]:
		delete(s.missing, e.Seq)
		s.add(Reordered, e, fmt.Sprintf("seq %d arrived before it", s.next-1))
	default:
		s.add(Repeated, e, fmt.Sprintf("the socket had already received it; seq %d was next", s.next))
	}
}

// closeSocket ends the current socket. The messages that it skipped can no longer arrive.
func (s *clientState) closeSocket() {
	if !s.open {
		return
	}
	s.open = false
	s.reportMissing()
}

// reportMissing reports the messages that the socket has skipped.
func (s *clientState) reportMissing() {
	if len(s.missing) == 0 {
		return
	}
	first := s.next
	for seq := range s.missing {
		first = min(first, seq)
	}
	s.add(Hole, &Entry{Ref: s.ref, Seq: first}, fmt.Sprintf("the socket skipped it and received later messages; %d messages are missing", len(s.missing)))
}

// finish checks what is outstanding at the end of the history.
func (s *clientState) finish() {
	if s == nil {
		return
	}
	s.closeSocket()
	s.finishRewind()
	s.checker.verdict.Reconnects += max(0, s.sockets-1)
	if s.end == "" {
		s.add(BrokenRecord, &Entry{}, "the history does not say whether the client left or stayed")
		return
	}
	if s.end != Stayed {
		return
	}
	ended := s.checker.run.Ended
	for seq := s.firstUnsure(); seq <= s.conv.last; seq++ {
		m := s.conv.messages[seq]
		if m == nil || m.acknowledged == 0 || s.checker.deadline(m.acknowledged) > ended || s.has(seq, m) {
			continue
		}
		s.add(Lost, &Entry{Seq: seq, ID: m.id, Sender: m.key.sender, ClientMessageID: m.key.id},
			fmt.Sprintf("the message was acknowledged, but the client received only messages up to seq %d", s.highest))
		break // the following ones are lost as well
	}
	for id, sent := range s.unacked {
		if s.checker.deadline(sent.at) <= ended {
			s.add(Unanswered, &Entry{ClientMessageID: id, Sender: s.head.User}, "the message was sent but never acknowledged")
		}
	}
}

func seconds(microseconds int64) float64 { return float64(microseconds) / 1e6 }
