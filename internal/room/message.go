package room

import (
	"strings"
	"time"
	"unicode/utf8"
)

// A Message is a stored chat message. Seq numbers the messages of a conversation from 1 without
// gaps.
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

// A Draft is a message that is not stored yet. Drafts with the same ClientMessageID, sender and
// conversation are one message, the first one, so a client can send a draft again.
type Draft struct {
	Sender          UserID
	SenderRole      Role
	Text            string
	ClientMessageID string
}

// MaxClientMessageID is the maximum length of a client_message_id in code points.
const MaxClientMessageID = 64

// An Invalid is the error for an invalid input. Code is the stable word for the client, Field
// the name of the field, and Detail a sentence for a person.
type Invalid struct{ Code, Field, Detail string }

func (e *Invalid) Error() string { return e.Detail }

// Validate checks the draft; maxText is the maximum length of the text in code points. The text
// is stored unchanged.
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
