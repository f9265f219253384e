package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/receipt"
	"github.com/roomspa/roomspa/internal/room"
)

// Receipts stores receipts.
type Receipts interface {
	// Mark raises the cursor of a target soon. It does not block. See receipt.Receipts.
	Mark(t receipt.Target, c room.Cursor, done func(room.Cursor, error))
}

// A markRequest is the body of POST /api/conversations/{conversation_id}/receipts/.
type markRequest struct {
	DeliveredSeq *frame.Integer `json:"delivered_seq"`
	ReadSeq      *frame.Integer `json:"read_seq"`
}

// cursor returns the cursor that the client has reached, and the member with the highest number.
func (m *markRequest) cursor() (c room.Cursor, field string, fail *failure) {
	for name, seq := range map[string]*frame.Integer{"delivered_seq": m.DeliveredSeq, "read_seq": m.ReadSeq} {
		if seq != nil && (*seq < 1 || *seq > room.MaxID) {
			return c, name, badField(name, "must be the number of a message")
		}
	}
	if m.DeliveredSeq != nil {
		c.Delivered, field = int64(*m.DeliveredSeq), "delivered_seq"
	}
	if m.ReadSeq != nil {
		if c.Read = int64(*m.ReadSeq); c.Read >= c.Delivered {
			field = "read_seq"
		}
	}
	if field == "" {
		return c, "read_seq", badField("read_seq", "or delivered_seq is missing")
	}
	return c, field, nil
}

// A markAnswer is how far the user has received and read the conversation afterwards.
type markAnswer struct {
	DeliveredSeq int64 `json:"delivered_seq"`
	ReadSeq      int64 `json:"read_seq"`
	Unread       int   `json:"unread"`
}

// mark serves POST /api/conversations/{conversation_id}/receipts/: what the frames delivered and
// read do, for clients that hold no socket.
func (h *history) mark(e *exchange, id string) (any, *failure) {
	if e.r.Method != http.MethodPost {
		e.w.Header().Set("Allow", http.MethodPost)
		return nil, newFailure(http.StatusMethodNotAllowed, "method_not_allowed", "Send a POST.")
	}
	user, _, fail := h.authenticate(e)
	if fail != nil {
		return nil, fail
	}
	if user.Role == room.Support {
		return nil, newFailure(http.StatusForbidden, "wrong_role", "Support sends no receipts.")
	}
	conversation, err := room.ParseID(id)
	if err != nil {
		return nil, badField("conversation_id", "must be a UUID")
	}
	var in markRequest
	if fail := readJSON(e.w, e.r, &in); fail != nil {
		return nil, fail
	}
	cursor, field, fail := in.cursor()
	if fail != nil {
		return nil, fail
	}
	r, fail := h.authorize(e, user, conversation)
	if fail != nil {
		return nil, fail
	}
	ctx := e.r.Context()
	switch err := waitStored(ctx, h.receipts, receipt.Target{Conversation: conversation, Room: r, User: user.ID}, cursor); {
	case errors.Is(err, receipt.ErrBeyond):
		return nil, &failure{cause: "out_of_range " + field, Problem: problem.Problem{
			Status: http.StatusBadRequest, Code: "out_of_range", Detail: "The conversation has no message with this number.",
			More: map[string]any{"field": field},
		}}
	case err != nil:
		return nil, databaseFailure(err)
	}
	c, err := h.store.Conversation(ctx, r, user.ID)
	if err != nil {
		return nil, databaseFailure(err)
	}
	own := c.Customer
	if user.ID == r.Therapist {
		own = c.Therapist
	}
	return markAnswer{own.Delivered, own.Read, c.Unread}, nil
}

// waitStored waits until a receipt is stored.
func waitStored(ctx context.Context, receipts Receipts, t receipt.Target, c room.Cursor) error {
	stored := make(chan error, 1)
	receipts.Mark(t, c, func(_ room.Cursor, err error) { stored <- err })
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the client has gone
	}
}

// An unreadCounter serves GET /api/unread/: the number of messages that the user has not read.
type unreadCounter struct {
	base

	store Conversations
	authenticator
}

type unreadAnswer struct {
	Unread int `json:"unread"`
}

func (u *unreadCounter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.serve(w, r, func(e *exchange) (any, string, *failure) {
		if fail := requireGet(e.w, e.r); fail != nil {
			return nil, "", fail
		}
		user, _, fail := u.authenticate(e)
		if fail != nil {
			return nil, "", fail
		}
		n, err := u.store.Unread(e.r.Context(), user.ID)
		if err != nil {
			return nil, "", databaseFailure(err)
		}
		return unreadAnswer{n}, "", nil
	})
}
