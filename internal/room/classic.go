package room

import "time"

// A Person is a user as other users see them.
type Person struct {
	ID    UserID
	Name  string // empty if unknown
	Email string // empty if the user has none
}

// A Reading is how far a user has read a conversation, and the time of the last change of that.
type Reading struct {
	Seq int64
	At  time.Time // zero if Seq is 0
}

// Details are what the paths of the predecessor show of a conversation beside its messages.
type Details struct {
	ID                  ID
	Number              int64
	Room                Room
	FirstSeq, LastSeq   int64 // as in Conversation
	Customer, Therapist Reading
	// Unread is the number of messages whose receiver is the user who asked and that the user has
	// not read, at most [MaxUnread]. The receiver of a message of support is the customer.
	Unread int
	// LastReadAt is the time at which the predecessor marked the message LastSeq as read, or zero.
	LastReadAt time.Time
}

// Receiver returns the side of the room that receives the messages of a sender: the other side,
// or the customer if the sender is support.
func (r Room) Receiver(sender UserID) UserID {
	if sender == r.Customer {
		return r.Therapist
	}
	return r.Customer
}
