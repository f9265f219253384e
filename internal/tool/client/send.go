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

// Send sends a text frame. It blocks while the peer accepts no data, at most for the write
// timeout. An error ends the socket.
func (c *Conn) Send(text []byte) error { return c.write(websocket.TextMessage, text) }

// SendBinary sends a binary frame, which only the echo endpoint accepts.
func (c *Conn) SendBinary(data []byte) error { return c.write(websocket.BinaryMessage, data) }

// SendMessage sends a chat message. With a clientMessageID the message can be sent again
// without being stored twice, and its ack can be recognised.
func (c *Conn) SendMessage(text, clientMessageID string) error {
	return c.Send(encodeMessage(text, clientMessageID))
}

// SendPosition sends a position. It leaves out values that are NaN.
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
		// The frame may be incomplete, and no other frame can follow it (RFC 6455 §5.4).
		c.cut(fmt.Errorf("write a frame: %w", err))
		return fmt.Errorf("write a frame: %w", err)
	}
	return nil
}

// writeControl writes a control frame. It may run beside write.
func (c *Conn) writeControl(kind int, data []byte) error {
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
	optional := func(v float64) *float64 {
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
	}{optional(p.Latitude), optional(p.Longitude), optional(p.Accuracy), optional(p.Heading), optional(p.Speed), ""}
	if !p.RecordedAt.IsZero() {
		out.RecordedAt = p.RecordedAt.UTC().Format(frame.TimeLayout)
	}
	return frame.Encode(out)
}

// EncodeHistory returns the frame that requests the last n messages, or the server's
// default number of them if n is 0.
func EncodeHistory(n int) []byte {
	return frame.Encode(struct {
		Type  string `json:"type"`
		Limit int    `json:"limit,omitempty"`
	}{frame.TypeHistory, n})
}

func encodeAuth(token string) []byte {
	return frame.Encode(struct {
		Type  string `json:"type"`
		Token string `json:"token"`
	}{"auth", token})
}

// Ping is the frame that requests a pong frame.
var Ping = json.RawMessage(`{"type":"` + frame.TypePing + `"}`)

// NewPosition returns a position with a latitude and a longitude only.
func NewPosition(latitude, longitude float64) room.Position {
	none := math.NaN()
	return room.Position{Latitude: latitude, Longitude: longitude, Accuracy: none, Heading: none, Speed: none}
}
