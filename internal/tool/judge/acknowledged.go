package judge

import "fmt"

// acknowledgements holds every acknowledgement against the store, and notes when
// each message was first acknowledged.
func (c *court) acknowledgements() error {
	return c.histories(func(head *Entry, _ int, e *Entry) error {
		if e.Kind != Acknowledged {
			return nil
		}
		in := c.store.of(head.room())
		key := sending{head.User, e.ClientMessageID}
		v := Violation{
			Client: head.Client, Ref: e.Ref, Customer: head.Customer, Therapist: head.Therapist,
			Seq: e.Seq, ID: e.ID, Sender: head.User, ClientMessageID: e.ClientMessageID,
		}
		as, known := in.bySender[key]
		m := in.messages[e.Seq]
		switch {
		case !known:
			v.Breach, v.Detail = NotStored, "it was acknowledged, and is not in the store"
		case as == e.Seq && m.id == e.ID:
			if m.acknowledged == 0 {
				c.verdict.Messages++
				m.acknowledged = e.At
			}
			m.acknowledged = min(m.acknowledged, e.At)
			return nil
		case m != nil && m.id == e.ID:
			v.Breach = OneIDTwice
			v.Detail = fmt.Sprintf("its client_message_id is stored as seq %d, and was acknowledged as another message, of client_message_id %q", as, m.sending.id)
		default:
			v.Breach = OneIDTwice
			v.Detail = fmt.Sprintf("it is stored as seq %d, id %s, and was acknowledged as seq %d, id %s", as, in.messages[as].id, e.Seq, e.ID)
		}
		c.found(v)
		return nil
	})
}
