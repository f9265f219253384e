package dialect

import (
	"bytes"
	"context"
	"encoding/json"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
)

// A test is a classic socket of the test endpoint. The consumer below it sends back what it
// receives, so the test passes it the answers.
type test struct{ pacer }

func newTest(c endpoint.Consumer, _ endpoint.Peer) endpoint.Consumer { return test{pacer{c}} }

// A pacer is a consumer that lets the session wait until the client has taken its answers. See
// session.Pacer.
type pacer struct{ endpoint.Consumer }

// Ready reports whether the client has taken enough of its answers.
func (p pacer) Ready() bool {
	c, ok := p.Consumer.(interface{ Ready() bool })
	return !ok || c.Ready()
}

// Behind returns the number of messages that wait for the client.
func (p pacer) Behind() int64 {
	if c, ok := p.Consumer.(interface{ Behind() int64 }); ok {
		return c.Behind()
	}
	return 0
}

// Open queues the first frame.
func (t test) Open(ctx context.Context) error {
	if err := t.Consumer.Open(ctx); err != nil {
		return err //nolint:wrapcheck // a rejection
	}
	return t.answer(ctx, "connection_established", []byte("Connected."))
}

// Receive answers a frame.
func (t test) Receive(ctx context.Context, m frame.Message) error {
	if !utf8.Valid(m.Data) {
		return &frame.Close{Code: frame.CodeInvalidData, Reason: "invalid_utf8", Detail: "the text frame is not UTF-8"}
	}
	var members map[string]json.RawMessage
	switch err := json.Unmarshal(m.Data, &members); {
	case !json.Valid(m.Data):
		return t.answer(ctx, "error", []byte("The frame is not JSON."))
	case err != nil || members == nil:
		return t.answer(ctx, "error", []byte("The frame is not a JSON object."))
	}
	return t.answer(ctx, "echo", append([]byte("Echo: "), content(members["message"])...))
}

// content returns a JSON value as the content of a JSON string: a string as it is, and any other
// value much as Python's str writes it.
func content(value []byte) []byte {
	switch {
	case len(value) == 0:
		return nil
	case value[0] == '"':
		return value[1 : len(value)-1]
	case value[0] == 't':
		return []byte("True")
	case value[0] == 'f':
		return []byte("False")
	case value[0] == 'n':
		return []byte("None")
	}
	quoted := frame.Encode(string(bytes.TrimSpace(value)))
	return quoted[1 : len(quoted)-1]
}

// answer sends a frame. text is the content of a JSON string. The time is a constant, as in the
// predecessor.
func (t test) answer(ctx context.Context, kind string, text []byte) error {
	b := append(append([]byte(`{"type": "`), kind...), `", "message": "`...)
	b = append(appendPython(b, text), `", "timestamp": "2024-01-01T00:00:00Z"}`...)
	return t.Consumer.Receive(ctx, frame.Message{Data: b}) //nolint:wrapcheck // a close
}
