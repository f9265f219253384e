package client

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// Send sends a text frame as it is. It blocks while the peer takes nothing, for
// the write time-out at most; after an error the socket is over.
func (c *Conn) Send(text []byte) error { return c.write(websocket.TextMessage, text) }

// SendBinary sends a binary frame, which only the echo endpoint takes.
func (c *Conn) SendBinary(data []byte) error { return c.write(websocket.BinaryMessage, data) }

// SendMessage sends a chat message. A clientMessageID makes sending it again
// harmless; without one the ack cannot be told from another.
func (c *Conn) SendMessage(text, clientMessageID string) error {
	return c.Send(encodeMessage(text, clientMessageID))
}

// SendPosition sends a position; NaN stands for a value that is not given.
func (c *Conn) SendPosition(p room.Position) error { return c.Send(encodePosition(p)) }

func (c *Conn) write(kind int, data []byte) error {
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-c.ended:
		return c.err
	}
	_ = c.ws.SetWriteDeadline(time.Now().Add(c.writeTimeout)) // gorilla's never fails
	if err := c.ws.WriteMessage(kind, data); err != nil {
		// A frame may be half written: nothing can follow it (RFC 6455 §5.4).
		c.cut(fmt.Errorf("write a frame: %w", err))
		return fmt.Errorf("write a frame: %w", err)
	}
	return nil
}

// control writes a control frame; gorilla lets these overtake the caller of
// write.
func (c *Conn) control(kind int, data []byte) error {
	return c.ws.WriteControl(kind, data, time.Now().Add(c.writeTimeout))
}

func encodeMessage(text, clientMessageID string) []byte {
	return frame.Encode(struct {
		Type            string `json:"type"`
		Message         string `json:"message"`
		ClientMessageID string `json:"client_message_id,omitempty"`
	}{frame.TypeChatMessage, text, clientMessageID})
}

func encodePosition(p room.Position) []byte {
	given := func(v float64) *float64 {
		if math.IsNaN(v) {
			return nil
		}
		return &v
	}
	out := struct {
		Latitude   *float64 `json:"latitude,omitempty"`
		Longitude  *float64 `json:"longitude,omitempty"`
		Accuracy   *float64 `json:"accuracy,omitempty"`
		Heading    *float64 `json:"heading,omitempty"`
		Speed      *float64 `json:"speed,omitempty"`
		RecordedAt string   `json:"recorded_at,omitempty"`
	}{given(p.Latitude), given(p.Longitude), given(p.Accuracy), given(p.Heading), given(p.Speed), ""}
	if !p.RecordedAt.IsZero() {
		out.RecordedAt = p.RecordedAt.UTC().Format(frame.TimeLayout)
	}
	return frame.Encode(out)
}

// EncodeHistory returns the frame that asks for a page of n messages before a
// seq; 0 asks for the server's default, or for the newest page.
func EncodeHistory(n int, beforeSeq int64) []byte {
	return frame.Encode(struct {
		Type      string `json:"type"`
		BeforeSeq int64  `json:"before_seq,omitempty"`
		Limit     int    `json:"limit,omitempty"`
	}{frame.TypeHistory, beforeSeq, n})
}

func encodeAuth(token string) []byte {
	return frame.Encode(struct {
		Type  string `json:"type"`
		Token string `json:"token"`
	}{"auth", token})
}

// Ping is the frame that asks for a pong.
var Ping = json.RawMessage(`{"type":"` + frame.TypePing + `"}`)

// At returns a position of which nothing but the place is known.
func At(latitude, longitude float64) room.Position {
	none := math.NaN()
	return room.Position{Latitude: latitude, Longitude: longitude, Accuracy: none, Heading: none, Speed: none}
}
