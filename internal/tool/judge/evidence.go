package judge

import "fmt"

// neighbours is the number of messages before and after the one concerned that are shown.
const neighbours = 3

// evidenceTime is how long before and after a violation of the state of a conversation the
// entries about the state are shown, in microseconds.
const evidenceTime = 2e6

// collectEvidence adds evidence to the first violations: what all clients did with the
// message, and what its socket received around it.
func (c *checker) collectEvidence() error {
	explained := c.verdict.Violations[:min(len(c.verdict.Violations), maxExplained)]
	if len(explained) == 0 {
		return nil
	}
	files, err := c.historyFiles()
	if err != nil {
		return err
	}
	for _, name := range files {
		var head Entry
		err := eachLine(c.dir, name, func(n int, e *Entry, text []byte) error {
			if n == 1 {
				head = *e
			}
			for i := range explained {
				if v := &explained[i]; v.concerns(&head, e) {
					v.addEvidence(name, n, text)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return c.collectStored(explained)
}

func (c *checker) collectStored(explained []Violation) error {
	rooms := map[string]roomKey{}
	err := eachLine(c.dir, ConversationsFile, func(_ int, v *Conversation, _ []byte) error {
		rooms[v.ID] = roomKey{v.Customer, v.Therapist}
		return nil
	})
	if err != nil {
		return err
	}
	return eachLine(c.dir, MessagesFile, func(n int, m *Message, text []byte) error {
		for i := range explained {
			v := &explained[i]
			if rooms[m.Conversation] == (roomKey{v.Customer, v.Therapist}) && v.isAbout(m.Seq, m.Sender, m.ID, m.ClientMessageID) {
				v.addEvidence(MessagesFile, n, text)
			}
		}
		return nil
	})
}

// concerns reports whether an entry is part of the evidence.
func (v *Violation) concerns(head, e *Entry) bool {
	if head.Customer != v.Customer || head.Therapist != v.Therapist {
		return false
	}
	if head.Client == v.Client {
		switch e.Kind { //nolint:exhaustive // the others are handled below
		case Begins, Left, Stayed, GaveUp:
			return true
		case Marked, Forgot, Told, Counted, Presence, Typing:
			return v.state && e.At >= v.at-evidenceTime && e.At <= v.at+evidenceTime
		case Connected, Closed, Resumed:
			return v.Ref == "" || e.Ref == v.Ref
		case Received:
			if e.Ref == v.Ref && v.Seq != 0 && e.Seq >= v.Seq-neighbours && e.Seq <= v.Seq+neighbours {
				return true
			}
		default:
		}
	}
	switch e.Kind {
	case Received:
		return v.isAbout(e.Seq, e.Sender, e.ID, e.ClientMessageID) || v.Text != "" && e.Text == v.Text
	case Sent, Acknowledged, Refused, Deferred:
		return v.isAbout(e.Seq, head.User, e.ID, e.ClientMessageID) || v.Text != "" && e.Text == v.Text
	default:
		return false
	}
}

// isAbout reports whether the violation concerns a message, by seq, id or client_message_id.
func (v *Violation) isAbout(seq, sender int64, id, clientMessageID string) bool {
	return v.Seq != 0 && seq == v.Seq || v.ID != "" && id == v.ID ||
		v.ClientMessageID != "" && clientMessageID == v.ClientMessageID && sender == v.Sender
}

func (v *Violation) addEvidence(file string, line int, text []byte) {
	if len(v.Evidence) >= maxEvidence {
		v.truncated = true
		return
	}
	v.Evidence = append(v.Evidence, fmt.Sprintf("%s:%d: %s", file, line, text))
}
