package judge

import "fmt"

// A pair is a room.
type pair struct{ customer, therapist int64 }

func (e *Entry) room() pair { return pair{e.Customer, e.Therapist} }

// A sending is the scope in which a client_message_id is one message.
type sending struct {
	sender int64
	id     string
}

// A chat is one conversation as the store held it in the end.
type chat struct {
	pair     pair
	messages map[int64]*stored // by seq
	last     int64
	bySender map[sending]int64 // seq
}

// stored is a message of the store, and when it was first acknowledged (0: never).
type stored struct {
	id           string
	sending      sending
	text         string
	acknowledged int64
}

type store struct{ chats map[pair]*chat }

// of returns a room's conversation, an empty one where there is none.
func (s *store) of(p pair) *chat {
	c := s.chats[p]
	if c == nil {
		c = &chat{pair: p, messages: map[int64]*stored{}, bySender: map[sending]int64{}}
		s.chats[p] = c
	}
	return c
}

// readStore reads what the store held, and holds it against itself.
func (c *court) readStore() error {
	c.store = &store{chats: map[pair]*chat{}}
	byID := map[string]*chat{}
	err := lines(c.dir, ConversationsFile, func(_ int, v *Conversation, _ []byte) error {
		p := pair{v.Customer, v.Therapist}
		if c.store.chats[p] != nil {
			c.found(Violation{Breach: OneIDTwice, Customer: p.customer, Therapist: p.therapist, Detail: "the room has two conversations"})
		}
		byID[v.ID] = c.store.of(p)
		return nil
	})
	if err != nil {
		return err
	}
	err = lines(c.dir, MessagesFile, func(n int, m *Message, _ []byte) error {
		in := byID[m.Conversation]
		if in == nil {
			return fmt.Errorf("%s:%d: conversation %s is not in %s", MessagesFile, n, m.Conversation, ConversationsFile)
		}
		c.verdict.Stored++
		c.keep(in, m)
		return nil
	})
	if err != nil {
		return err
	}
	for _, in := range c.store.chats {
		c.holes(in)
	}
	return nil
}

// keep takes in one message of the store.
func (c *court) keep(in *chat, m *Message) {
	broken := Violation{
		Customer: in.pair.customer, Therapist: in.pair.therapist, Seq: m.Seq, ID: m.ID,
		Sender: m.Sender, ClientMessageID: m.ClientMessageID,
	}
	if in.messages[m.Seq] != nil {
		broken.Breach, broken.Detail = StoreHole, "the store has this seq twice"
		c.found(broken)
	}
	key := sending{m.Sender, m.ClientMessageID}
	if key.id != "" {
		if first, twice := in.bySender[key]; twice {
			broken.Breach, broken.Detail = OneIDTwice, fmt.Sprintf("the store has one client_message_id as seq %d and %d", first, m.Seq)
			c.found(broken)
		} else {
			in.bySender[key] = m.Seq
		}
	}
	in.messages[m.Seq] = &stored{id: m.ID, sending: key, text: m.Text}
	in.last = max(in.last, m.Seq)
}

// holes looks for a seq that the store does not have.
func (c *court) holes(in *chat) {
	if int64(len(in.messages)) == in.last && in.messages[0] == nil {
		return
	}
	for seq := int64(1); seq <= in.last; seq++ {
		if in.messages[seq] == nil {
			c.found(Violation{
				Breach: StoreHole, Customer: in.pair.customer, Therapist: in.pair.therapist, Seq: seq,
				Detail: fmt.Sprintf("the store has no such seq, and goes up to %d", in.last),
			})
			return // the first one says it
		}
	}
}
