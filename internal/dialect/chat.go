package dialect

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	chatComponent = "ChatConsumer"
	// storeTimeout is the time after which a message that cannot be stored ends its socket.
	storeTimeout = 30 * time.Second
	// minBackoff and maxBackoff bound the time between two attempts to store a message.
	minBackoff, maxBackoff = 50 * time.Millisecond, time.Second
)

// A Sender stores a chat message and publishes it. The consumer of the chat endpoint is one.
type Sender interface {
	// Send returns nil if the message is stored. A *[room.Invalid] refuses it; with the codes
	// database_unavailable and internal, the same draft may be sent again. A *[frame.Close] ends
	// the socket.
	Send(ctx context.Context, d room.Draft) error
}

// A chat is a classic socket of the chat endpoint.
type chat struct {
	pacer

	sender  Sender
	user    room.UserID
	role    room.Role
	log     *logging.Conn
	metrics *metrics
}

func (d *Dialect) newChat(c endpoint.Consumer, p endpoint.Peer) endpoint.Consumer {
	sender, _ := c.(Sender)
	return &chat{pacer: pacer{c}, sender: sender, user: p.User.ID, role: p.User.Role, log: p.Socket.Log(), metrics: d.metrics}
}

// Receive stores the text of a frame. It returns when the message is stored, so that messages
// keep their order. A frame without a text is ignored.
func (c *chat) Receive(ctx context.Context, m frame.Message) error {
	text, err := decodeText(m)
	if bad, ok := errors.AsType[*room.Invalid](err); ok {
		c.metrics.message(ignored)
		if bad.Code == "empty_message" {
			c.log.Warn(chatComponent, "Empty message ignored")
		} else {
			c.log.Warn(chatComponent, "Frame ignored: "+bad.Code, slog.String("field", bad.Field))
		}
		return nil
	}
	if err != nil {
		return err
	}
	err = c.store(ctx, room.Draft{Sender: c.user, SenderRole: c.role, Text: text, ClientMessageID: rand.Text()})
	_, isClose := errors.AsType[*frame.Close](err)
	bad, isRefusal := errors.AsType[*room.Invalid](err)
	switch {
	case err == nil:
		c.metrics.message(stored)
	case isClose:
		c.metrics.message(failed)
	case isRefusal && bad.Code == "blocked": // the endpoint has logged it
		c.metrics.message(blocked)
		return nil
	case isRefusal:
		c.metrics.message(refused)
		c.log.Warn(chatComponent, "Message dropped: "+bad.Code, slog.Int("length", len(text)))
		return nil
	default:
		c.metrics.message(failed)
	}
	return err
}

// decodeText returns the trimmed text of a frame. Its errors are those of [frame.Decode].
func decodeText(m frame.Message) (string, error) {
	if m.Binary {
		return "", &room.Invalid{Code: "text_only"}
	}
	var in struct {
		Message *string `json:"message"`
	}
	if err := frame.DecodeMembers(m.Data, &in); err != nil {
		return "", err //nolint:wrapcheck // as documented
	}
	text := ""
	if in.Message != nil {
		text = strings.TrimFunc(*in.Message, isSpace)
	}
	if text == "" {
		return "", &room.Invalid{Code: "empty_message", Field: "message"}
	}
	return text, nil
}

// store stores a message. It tries again until the message is stored or refused, or
// storeTimeout has passed.
func (c *chat) store(ctx context.Context, d room.Draft) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		err := c.sender.Send(ctx, d)
		bad, ok := errors.AsType[*room.Invalid](err)
		if !ok || bad.Code != "database_unavailable" && bad.Code != "internal" {
			return err //nolint:wrapcheck // as documented
		}
		select {
		case <-time.After(wait + mathrand.N(wait)):
		case <-ctx.Done():
			return &frame.Close{Code: frame.CodeInternal, Reason: bad.Code, Detail: "the message was not stored in time", Cause: err}
		}
	}
}

// Next returns the next message of the conversation. All other frames of the endpoint are
// dropped.
func (c *chat) Next(ctx context.Context, wait bool) (frame.Message, error) {
	for {
		m, err := c.Consumer.Next(ctx, wait)
		if err != nil || m.Data == nil {
			return m, err //nolint:wrapcheck // a close
		}
		if m.Seq != 0 {
			return frame.Message{Data: encodeMessage(m)}, nil
		}
	}
}

// encodeMessage returns the predecessor's frame for a chat_message frame.
func encodeMessage(m frame.Message) []byte {
	text := messageText(m.Data)
	b := append(make([]byte, 0, 160+len(text)), `{"type": "message", "message": "`...)
	b = append(appendPython(b, text), `", "sender_id": "`...)
	b = append(strconv.AppendInt(b, int64(m.Sender), 10), `", "message_id": "`...)
	b = append(strconv.AppendInt(b, m.Number, 10), `", "timestamp": "`...)
	return append(time.UnixMicro(m.At).UTC().AppendFormat(b, timeLayout), `"}`...)
}

// messageText returns the content of the member message of a chat_message frame. No member
// before it can contain its name.
func messageText(data []byte) []byte {
	const name = `,"message":"`
	start := bytes.Index(data, []byte(name)) + len(name)
	for end := start; end < len(data); end++ {
		switch data[end] {
		case '\\':
			end++
		case '"':
			return data[start:end]
		}
	}
	return nil
}
