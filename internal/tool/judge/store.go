package judge

import "fmt"

// A roomKey identifies a room.
type roomKey struct{ customer, therapist int64 }

func (e *Entry) room() roomKey { return roomKey{e.Customer, e.Therapist} }

// A sendKey identifies a message of a conversation by its client_message_id.
type sendKey struct {
	sender int64
	id     string
}

// A textKey identifies a message of a classic client.
type textKey struct {
	sender int64
	text   string
}

// A span is the first and the last seq of a text.
type span struct{ first, last int64 }

// A conversation holds what the store contained at the end.
type conversation struct {
	room     roomKey
	messages map[int64]*message // by seq
	last     int64
	seqs     map[sendKey]int64
	numbers  map[int64]int64 // seq by number
	texts    map[textKey]span
	cursors  map[int64]Cursor // by user; nil if they are not known
}

// A message is a stored message.
type message struct {
	id           string
	number       int64
	key          sendKey
	text         string
	acknowledged int64 // time of the first acknowledgement, 0 if there is none
}

// conversation returns the conversation of a room, which is empty if it is not stored.
func (c *checker) conversation(room roomKey) *conversation {
	conv := c.conversations[room]
	if conv == nil {
		conv = &conversation{room: room, messages: map[int64]*message{}, seqs: map[sendKey]int64{}, numbers: map[int64]int64{}, texts: map[textKey]span{}}
		c.conversations[room] = conv
	}
	return conv
}

// readStore reads the content of the store and checks that it is consistent.
func (c *checker) readStore() error {
	c.conversations = map[roomKey]*conversation{}
	byID := map[string]*conversation{}
	err := eachLine(c.dir, ConversationsFile, func(_ int, v *Conversation, _ []byte) error {
		room := roomKey{v.Customer, v.Therapist}
		if c.conversations[room] != nil {
			c.add(Violation{Breach: OneIDTwice, Customer: room.customer, Therapist: room.therapist, Detail: "the room has two conversations"})
		}
		byID[v.ID] = c.conversation(room)
		return nil
	})
	if err != nil {
		return err
	}
	err = eachLine(c.dir, MessagesFile, func(n int, m *Message, _ []byte) error {
		conv := byID[m.Conversation]
		if conv == nil {
			return fmt.Errorf("%s:%d: conversation %s is not in %s", MessagesFile, n, m.Conversation, ConversationsFile)
		}
		c.verdict.Stored++
		c.addMessage(conv, m)
		return nil
	})
	if err != nil {
		return err
	}
	for _, conv := range c.conversations {
		c.checkSeqs(conv)
	}
	return nil
}

func (c *checker) addMessage(conv *conversation, m *Message) {
	v := Violation{
		Customer: conv.room.customer, Therapist: conv.room.therapist, Seq: m.Seq, ID: m.ID,
		Sender: m.Sender, ClientMessageID: m.ClientMessageID,
	}
	if conv.messages[m.Seq] != nil {
		v.Breach, v.Detail = StoreHole, "the store has two messages with this seq"
		c.add(v)
	}
	key := sendKey{m.Sender, m.ClientMessageID}
	if key.id != "" {
		if first, twice := conv.seqs[key]; twice {
			v.Breach, v.Detail = OneIDTwice, fmt.Sprintf("the store has this client_message_id with seq %d and seq %d", first, m.Seq)
			c.add(v)
		} else {
			conv.seqs[key] = m.Seq
		}
	}
	conv.messages[m.Seq] = &message{id: m.ID, number: m.Number, key: key, text: m.Text}
	conv.numbers[m.Number] = m.Seq
	text := textKey{m.Sender, m.Text}
	if s, known := conv.texts[text]; known {
		conv.texts[text] = span{s.first, m.Seq}
	} else {
		conv.texts[text] = span{m.Seq, m.Seq}
	}
	conv.last = max(conv.last, m.Seq)
}

// checkSeqs reports the first seq that is missing in the store.
func (c *checker) checkSeqs(conv *conversation) {
	if int64(len(conv.messages)) == conv.last && conv.messages[0] == nil {
		return
	}
	for seq := int64(1); seq <= conv.last; seq++ {
		if conv.messages[seq] == nil {
			c.add(Violation{
				Breach: StoreHole, Customer: conv.room.customer, Therapist: conv.room.therapist, Seq: seq,
				Detail: fmt.Sprintf("the store has no message with this seq, but messages up to seq %d", conv.last),
			})
			return
		}
	}
}

// checkAcknowledgements compares every acknowledgement with the store. It records when each
// message was first acknowledged. A message that was acknowledged before the database was
// rewound need not be stored.
func (c *checker) checkAcknowledgements() error {
	return c.eachEntry(func(head, e *Entry) error {
		if e.Kind != Acknowledged {
			return nil
		}
		conv := c.conversation(head.room())
		v := Violation{
			Client: head.Client, Ref: e.Ref, Customer: head.Customer, Therapist: head.Therapist,
			Seq: e.Seq, ID: e.ID, Sender: head.User, ClientMessageID: e.ClientMessageID,
		}
		seq, stored := conv.seqs[sendKey{head.User, e.ClientMessageID}]
		m := conv.messages[e.Seq]
		switch {
		case !stored && e.At <= c.rewindEnded:
			return nil
		case !stored:
			v.Breach, v.Detail = NotStored, "the message was acknowledged but is not stored"
		case seq == e.Seq && m.id == e.ID:
			if m.acknowledged == 0 {
				c.verdict.Messages++
				m.acknowledged = e.At
			}
			m.acknowledged = min(m.acknowledged, e.At)
			return nil
		case e.At <= c.rewindEnded:
			return nil
		case m != nil && m.id == e.ID:
			v.Breach = OneIDTwice
			v.Detail = fmt.Sprintf("the client_message_id is stored with seq %d, but the acknowledgement names the message with client_message_id %q", seq, m.key.id)
		default:
			v.Breach = OneIDTwice
			v.Detail = fmt.Sprintf("the message is stored with seq %d and id %s, but was acknowledged with seq %d and id %s", seq, conv.messages[seq].id, e.Seq, e.ID)
		}
		c.add(v)
		return nil
	})
}
