package judge

import "fmt"

// A rewindState is what one client knows of a database that lost messages; see
// [Fault.Rewinds]. It is empty in other runs.
type rewindState struct {
	based    int64          // when the client last began anew: at its first connection or a reset
	base     int64          // seq from which the last reset made it go on; the history has those before
	lastOpen int64          // when its socket was last open and live
	doubtful []Violation    // received messages that only a reset excuses
	received map[int64]bool // seqs that it has received as they are stored
}

// isRewound reports whether the database may have lost messages at a time.
func (c *checker) isRewound(at int64) bool { return c.rewindBegan != 0 && at >= c.rewindBegan }

// handleReset handles the reset of a client: it forgets what it has received, and is live
// after e.Seq. A client is reset at most once for what the database has lost, except
// within the time in which replicas have to notice it.
func (s *clientState) handleReset(e *Entry) {
	c := s.checker
	switch {
	case e.Ref != s.ref || !s.open:
		s.add(BadResume, e, "the client was reset on a socket that was not connected")
	case !c.isRewound(e.At):
		s.add(BadResume, e, "the client was reset before the database lost messages")
	case s.rewind.based > c.rewindEnded && e.At > c.rewindEnded+c.run.Within.Microseconds():
		s.add(BadResume, e, "the client was reset again, although the database has lost nothing since")
	case e.From != e.Seq+1:
		s.add(BadResume, e, fmt.Sprintf("the reset names seq %d as the next one after seq %d", e.From, e.Seq))
	case e.Seq > s.conv.last && e.At > c.rewindEnded:
		s.add(BadResume, e, fmt.Sprintf("the reset names a last message that is not stored: the store ends with seq %d", s.conv.last))
	}
	s.reportMissing()
	s.next, s.highest, s.missing, s.holeFound = e.Seq+1, e.Seq, nil, false
	s.rewind.based, s.rewind.base, s.rewind.doubtful = e.At, e.Seq, nil
}

// hasOldBase reports whether the client may still go on from what the database has lost.
func (s *clientState) hasOldBase() bool {
	return s.checker.rewindBegan != 0 && s.rewind.based <= s.checker.rewindEnded
}

// addUnlessReset adds a violation, unless the message may be one that the database has
// lost and the client is reset later.
func (s *clientState) addUnlessReset(b Breach, e *Entry, detail string) {
	if !s.hasOldBase() {
		s.add(b, e, detail)
		return
	}
	if len(s.rewind.doubtful) < maxViolations {
		s.rewind.doubtful = append(s.rewind.doubtful, s.violation(b, e, detail+", and the client was not reset"))
	}
}

// noteReceived remembers that the client has received a message as it is stored.
func (s *clientState) noteReceived(e *Entry) {
	if m := s.conv.messages[e.Seq]; s.checker.rewindBegan == 0 || m == nil || m.id != e.ID {
		return
	}
	if s.rewind.received == nil {
		s.rewind.received = map[int64]bool{}
	}
	s.rewind.received[e.Seq] = true
}

// finishRewind reports the messages that the client still has although the database has
// lost them. It had to be reset if it was connected long enough afterwards.
func (s *clientState) finishRewind() {
	until := s.rewind.lastOpen
	if s.end == Stayed {
		until = s.checker.run.Ended
	}
	if until <= s.checker.rewindEnded+s.checker.run.Within.Microseconds() {
		return
	}
	for _, v := range s.rewind.doubtful {
		s.checker.add(v)
	}
}

// firstUnsure returns the first seq that the client may not have.
func (s *clientState) firstUnsure() int64 {
	if s.hasOldBase() {
		return 1
	}
	return s.highest + 1
}

// has reports whether the client has a stored message. A client that goes on from what
// the database has lost has a message of afterwards only if it has received it: another
// message had its seq before.
func (s *clientState) has(seq int64, m *message) bool {
	if seq > s.highest {
		return false
	}
	return m.acknowledged <= s.checker.rewindEnded || !s.hasOldBase() || seq <= s.rewind.base || s.rewind.received[seq]
}
