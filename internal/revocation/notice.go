package revocation

import (
	"time"

	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/room"
)

// kind is the kind of message that notices are sent as.
const kind = "revocation"

// The types of notices.
const (
	signedOut   = "signed_out"
	deactivated = "deactivated"
	checkStore  = "check"
)

// A notice tells the replicas what has changed.
type notice struct {
	Type       string      `json:"type"`
	User       room.UserID `json:"user,omitzero"`
	ValidAfter time.Time   `json:"valid_after,omitzero"` // of signed_out
}

func (n notice) valid() bool {
	user := n.User >= 1 && n.User <= room.MaxID
	return n.Type == checkStore || n.Type == deactivated && user || n.Type == signedOut && user && !n.ValidAfter.IsZero()
}

// RequestCheck makes every replica check the store, on behalf of a command that has
// changed users there. publish gets the group and the payload.
func RequestCheck(publish func(group string, payload []byte) error) error {
	return fleet.Announce(kind, notice{Type: checkStore}, publish)
}
