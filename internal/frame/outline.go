package frame

import (
	"encoding/json"
	"slices"

	"github.com/roomspa/roomspa/internal/cause"
)

// types are the types of frames that may be shown to operators. Others are what a client wrote.
var types = []string{
	TypeChatMessage, TypeHistory, TypePing, TypeAuth, TypeProbe, TypeTyping, TypeDelivered, TypeRead,
	TypeConnected, TypeResumed, TypeAck, TypePong, TypeReconnect, TypeTokenExpiring, TypeError, TypeLocationUpdate,
	TypeGreeting, TypePresence, TypeConversation, TypeInboxComplete,
	"message", "location", "connection_established", // of the predecessor
}

// An Outline is what an operator may see of a frame: no text, and nothing that a client chose.
type Outline struct {
	Type string // "other" if it is unknown, "binary" if the frame is none of JSON
	Seq  int64  // 0 if there is none
	Code string // of an error frame
}

// Outlined returns the outline of a frame. It decodes the whole frame, so it is for frames
// that somebody looks at.
func Outlined(m Message) (o Outline) {
	o.Type = "other"
	if m.Binary {
		o.Type = "binary"
		return o
	}
	var f struct {
		Type string `json:"type"`
		Seq  int64  `json:"seq"`
		Code string `json:"code"`
	}
	if json.Unmarshal(m.Data, &f) != nil || !slices.Contains(types, f.Type) {
		return o
	}
	o.Type, o.Seq = f.Type, f.Seq
	if f.Type == TypeError {
		o.Code = "other" // of an echo
		if _, known := cause.Find(f.Code); known {
			o.Code = f.Code
		}
	}
	return o
}
