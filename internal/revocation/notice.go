package revocation

import (
	"encoding/json"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// version is what a notice's v says. A replica that does not know a version, or a
// type, asks the store instead.
const version = 1

// The types of notices.
const (
	signedOut    = "signed_out"
	deactivated  = "deactivated"
	lookYourself = "look" // somebody could not be told of
)

// A notice is what replicas tell each other, as JSON.
type notice struct {
	Version    int         `json:"v"`
	Type       string      `json:"type"`
	User       room.UserID `json:"user,omitzero"`
	ValidAfter time.Time   `json:"valid_after,omitzero"` // of signed_out
}

func (n notice) encode() []byte {
	b, err := json.Marshal(n)
	if err != nil {
		panic("encode a notice of our own: " + err.Error()) // JSON holds all that it has
	}
	return b
}

// Look returns a notice that makes every replica look into the store, for whoever
// has changed users there and is no replica.
func Look() []byte { return notice{Version: version, Type: lookYourself}.encode() }

func decode(payload []byte) (n notice, ok bool) {
	if json.Unmarshal(payload, &n) != nil || n.Version != version {
		return notice{}, false
	}
	user := n.User >= 1 && n.User <= room.MaxID
	return n, n.Type == lookYourself || n.Type == deactivated && user || n.Type == signedOut && user && !n.ValidAfter.IsZero()
}
