package room

import (
	"strings"
	"time"
	"unicode/utf8"
)

// A Message is a stored chat message. Seq counts 1, 2, 3, … within its
// conversation with no hole.
type Message struct {
	ID              ID
	Conversation    ID
	Seq             int64
	Sender          UserID
	SenderRole      Role
	Text            string
	ClientMessageID string // empty if the sender gave none
	At              time.Time
}

// A Draft is a message that is not stored yet. A ClientMessageID makes sending
// it again harmless: within a conversation and sender it is one message, and the
// first one stands.
type Draft struct {
	Sender          UserID
	SenderRole      Role
	Text            string
	ClientMessageID string
}

// MaxClientMessageID is the longest client_message_id, in code points.
const MaxClientMessageID = 64

// An Invalid is an input that breaks a rule: Code is the word that goes on the
// wire, Field the input's field, Detail says it to a person.
type Invalid struct{ Code, Field, Detail string }

func (e *Invalid) Error() string { return e.Detail }

// Validate checks the draft's text against a limit in code points. The text is
// stored as it is, so only what could not be stored or shown is refused.
func (d Draft) Validate(maxText int) *Invalid {
	switch {
	case strings.TrimSpace(d.Text) == "":
		return &Invalid{"empty_message", "message", "the message is empty; nothing was stored"}
	case utf8.RuneCountInString(d.Text) > maxText:
		return &Invalid{"too_long", "message", "the message has more than " + itoa(maxText) + " characters"}
	case utf8.RuneCountInString(d.ClientMessageID) > MaxClientMessageID:
		return &Invalid{"too_long", "client_message_id", "client_message_id has more than " + itoa(MaxClientMessageID) + " characters"}
	}
	return nil
}
