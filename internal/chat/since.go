package chat

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// A position is how far a client has read, as it says when it resumes.
type position struct {
	seq   int64   // the highest seq that the client has
	id    room.ID // of the message with that seq
	hasID bool    // the client named the id
}

// parseSince returns the position in the parameters since and id, or nil if there is
// none. An empty id counts as absent.
func parseSince(q url.Values) (*position, *frame.Close) {
	if !q.Has("since") {
		return nil, nil // an id alone may belong to the app
	}
	id := q.Get("id")
	n, err := strconv.ParseInt(q.Get("since"), 10, 64)
	if err != nil || n < 0 || strings.HasPrefix(q.Get("since"), "+") {
		return nil, badSince("since must be a whole number of 0 or more: the highest seq that the client has")
	}
	if n == 0 || id == "" {
		return &position{seq: n}, nil // no message has the seq 0
	}
	parsed, err := room.ParseID(id)
	if err != nil {
		return nil, badSince("id must be a UUID: the id of the client's message with the seq of since")
	}
	return &position{n, parsed, true}, nil
}

func badSince(detail string) *frame.Close {
	return &frame.Close{Code: frame.CodeParameters, Reason: "bad_since", Detail: detail}
}

// checkSince compares the position of the client with the store. It returns the frame
// that ends the replay, or nil if the client does not resume.
func (s *Consumer) checkSince(ctx context.Context, c room.Conversation) (*frame.Resumed, error) {
	p := s.since
	if p == nil {
		return nil, nil // there is nothing to resume
	}
	var stored []room.Message
	if p.hasID && p.seq >= c.FirstSeq && p.seq <= c.LastSeq {
		var err error
		if stored, _, err = s.chat.store.After(ctx, c.ID, p.seq-1, 1, replayBytes); err != nil {
			return nil, err
		}
	}
	r := resumed(*p, &c, stored)
	if r.Reset {
		s.chat.metrics.resets.WithLabelValues("resume").Inc()
	}
	return r, nil
}

// resumed decides what a client is told that resumes from p in a conversation. stored is what the
// store has from p.seq on; it matters only if the client named an id. The client is reset if the
// store does not have its message.
//
// What the store has of a conversation has no hole: a message before the first one was deleted
// because of its age. A client that resumes from there gets what is left, and is not reset.
func resumed(p position, c *room.Conversation, stored []room.Message) *frame.Resumed {
	known := p.seq <= c.LastSeq
	if known && p.hasID && p.seq >= c.FirstSeq {
		known = len(stored) > 0 && stored[0].Seq == p.seq && stored[0].ID == p.id
	}
	if !known {
		return resetAt(c)
	}
	return &frame.Resumed{Type: frame.TypeResumed, FromSeq: max(p.seq+1, c.FirstSeq), ToSeq: c.LastSeq, FirstSeq: c.FirstSeq, LastSeq: c.LastSeq}
}

// resetAt returns the frame that makes a client forget its messages and go on from the newest one.
func resetAt(c *room.Conversation) *frame.Resumed {
	return &frame.Resumed{Type: frame.TypeResumed, FromSeq: c.LastSeq + 1, ToSeq: c.LastSeq, FirstSeq: c.FirstSeq, LastSeq: c.LastSeq, Reset: true}
}
