package room

import (
	"time"
	"unicode"
	"unicode/utf8"
)

// A Message is a stored chat message. Seq numbers the messages of a conversation from 1 without
// gaps. Number is unique among all messages, and grows with Seq; it is 0 while a migration has
// not numbered the message yet. At grows with Seq, by a microsecond or more.
type Message struct {
	ID              ID
	Conversation    ID
	Seq             int64
	Number          int64
	Sender          UserID
	SenderRole      Role
	Text            string // what any client can show
	Type            string // empty: text
	Metadata        string // a JSON object, or empty
	ClientMessageID string // empty if the sender gave none
	At              time.Time
}

// A Draft is a message that is not stored yet. Drafts with the same ClientMessageID, sender and
// conversation are one message, the first one, so a client can send a draft again.
type Draft struct {
	Sender          UserID
	SenderRole      Role
	Text            string
	Type            string // empty: text
	Metadata        string // a JSON object, or empty
	ClientMessageID string
}

// Differs reports whether m, which was stored before, has another text, type or metadata than d.
func (m *Message) Differs(d *Draft) bool {
	return m.Text != d.Text || m.Type != d.Type || m.Metadata != d.Metadata
}

// The types of messages that this release knows. Others pass through.
const (
	TypeText     = "text"
	TypeImage    = "image"
	TypeFile     = "file"
	TypeLocation = "location"
	TypeSystem   = "system" // sent by an operator's command only
)

// MaxType is the maximum length of Draft.Type in bytes.
const MaxType = 32

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
	case isBlank(d.Text):
		return &Invalid{"empty_message", "message", "the message is empty; nothing was stored"}
	case utf8.RuneCountInString(d.Text) > maxText:
		return &Invalid{"too_long", "message", "the message has more than " + itoa(maxText) + " characters"}
	case utf8.RuneCountInString(d.ClientMessageID) > MaxClientMessageID:
		return &Invalid{"too_long", "client_message_id", "client_message_id has more than " + itoa(MaxClientMessageID) + " characters"}
	case !validType(d.Type):
		return &Invalid{"out_of_range", "message_type", "message_type must be 1 to " + itoa(MaxType) + " small letters, digits, '_', '-', '.' or '/'"}
	}
	return validateMetadata(d.Metadata)
}

// isBlank reports whether a text shows nothing: it has only white space, control and format
// characters, and letters that are drawn blank (Unicode's Default_Ignorable_Code_Point, and the
// braille pattern without dots).
func isBlank(text string) bool {
	for _, r := range text {
		if !unicode.IsSpace(r) && !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) && r != '\u2800' {
			return false
		}
	}
	return true
}

// validType reports whether t is empty or a name that can be stored, known or not.
func validType(t string) bool {
	for _, c := range []byte(t) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' && c != '/' {
			return false
		}
	}
	return len(t) <= MaxType
}
