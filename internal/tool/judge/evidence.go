package judge

import "fmt"

// near is how many messages around the one concerned are shown of its socket.
const near = 3

// evidence gathers the lines that concern the first violations: what everybody
// did with that message, and what the socket saw around it.
func (c *court) evidence() error {
	explained := c.verdict.Violations[:min(len(c.verdict.Violations), mostExplained)]
	if len(explained) == 0 {
		return nil
	}
	files, err := c.files()
	if err != nil {
		return err
	}
	for _, name := range files {
		var head Entry
		err := lines(c.dir, name, func(n int, e *Entry, text []byte) error {
			if n == 1 {
				head = *e
			}
			for i := range explained {
				if v := &explained[i]; v.concerns(&head, e) {
					v.show(name, n, text)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return c.storedEvidence(explained)
}

func (c *court) storedEvidence(explained []Violation) error {
	conversations := map[string]pair{}
	err := lines(c.dir, ConversationsFile, func(_ int, v *Conversation, _ []byte) error {
		conversations[v.ID] = pair{v.Customer, v.Therapist}
		return nil
	})
	if err != nil {
		return err
	}
	return lines(c.dir, MessagesFile, func(n int, m *Message, text []byte) error {
		for i := range explained {
			v := &explained[i]
			if conversations[m.Conversation] == (pair{v.Customer, v.Therapist}) && v.same(m.Seq, m.Sender, m.ID, m.ClientMessageID) {
				v.show(MessagesFile, n, text)
			}
		}
		return nil
	})
}

// concerns reports whether a line of a history is part of the evidence.
func (v *Violation) concerns(head, e *Entry) bool {
	if head.Customer != v.Customer || head.Therapist != v.Therapist {
		return false
	}
	if head.Client == v.Client {
		switch e.Kind { //nolint:exhaustive // what was sent is told by its id, below
		case Begins, Left, Stayed, GaveUp:
			return true
		case Connected, Closed, Resumed:
			return v.Ref == "" || e.Ref == v.Ref
		case Received:
			if e.Ref == v.Ref && v.Seq != 0 && e.Seq >= v.Seq-near && e.Seq <= v.Seq+near {
				return true
			}
		default: // below, as everybody's
		}
	}
	switch e.Kind {
	case Received:
		return v.same(e.Seq, e.Sender, e.ID, e.ClientMessageID)
	case Sent, Acknowledged, Refused, Deferred:
		return v.same(e.Seq, head.User, e.ID, e.ClientMessageID)
	default:
		return false
	}
}

// same reports whether a message is the one concerned, by any of its names.
func (v *Violation) same(seq, sender int64, id, clientMessageID string) bool {
	return v.Seq != 0 && seq == v.Seq || v.ID != "" && id == v.ID ||
		v.ClientMessageID != "" && clientMessageID == v.ClientMessageID && sender == v.Sender
}

func (v *Violation) show(file string, line int, text []byte) {
	if len(v.Evidence) >= mostEvidence {
		v.cut = true
		return
	}
	v.Evidence = append(v.Evidence, fmt.Sprintf("%s:%d: %s", file, line, text))
}
