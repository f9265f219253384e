package diagnose

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// messageLimit is how long a message may take.
const messageLimit = 500 * time.Millisecond

// exchangeProbes sends a probe from each of two sockets to both. A probe passes through
// Redis like a message, but is not stored.
func (w *walk) exchangeProbes(ctx context.Context) result {
	if len(w.sockets) < 2 {
		if w.canJoin() != "" {
			return skipped(w.canJoin())
		}
		return skipped("the room was not entered")
	}
	a, b := w.sockets[0], w.sockets[1]
	there := w.sendProbe(ctx, a, b)
	if there.Error == "unknown" {
		return skipped("this version of the server does not know messages that are not stored")
	}
	if ctx.Err() != nil {
		return result{} // it is the diagnosis that ended
	}
	w.facts.Messages = append(w.facts.Messages, there)
	if there.Error == "" {
		back := w.sendProbe(ctx, b, a)
		w.facts.Messages = append(w.facts.Messages, back)
		if back.Error == "" {
			path := "between two sockets of replica " + there.From
			if there.From != there.To {
				path = fmt.Sprintf("between the replicas %s and %s", there.From, there.To)
			}
			r := passed("through Redis %s: %s there, %s back", path, milliseconds(there.MS), milliseconds(back.MS))
			r.median, r.limit = time.Duration(max(there.MS, back.MS)*float64(time.Millisecond)), messageLimit
			return r
		}
		there = back
	}
	if there.Error == "own" {
		return failed("a message sent through replica %s did not come back to it through Redis", there.From)
	}
	if there.Error != "other" {
		return failed("%s", there.Error)
	}
	return failed("a message sent through replica %s did not reach replica %s through Redis", there.From, there.To)
}

// sendProbe sends a probe and waits until both sockets have received it.
func (w *walk) sendProbe(ctx context.Context, from, to *client.Conn) Message {
	m := Message{From: replicaOf(from), To: replicaOf(to)}
	id := client.NewID()
	began := time.Now()
	_ = from.Send(frame.Encode(frame.Probe{Type: frame.TypeProbe, ID: id})) // the error of Read says more
	own := func(f client.Frame) bool { return f.Type == frame.TypeProbe && f.ID == id }
	for _, c := range []struct {
		conn *client.Conn
		lost string
	}{{from, "own"}, {to, "other"}} {
		a := Attempt{Probe: "message", Path: w.roomPath(client.Chat), Sent: "a probe frame", Status: 101, Ours: true, Replica: replicaOf(c.conn), Ref: c.conn.Ref()}
		if _, ok := w.await(ctx, c.conn, &a, own); ok {
			continue
		}
		m.Error = c.lost
		switch {
		case a.Code == "unknown_type":
			m.Error = "unknown"
		case a.Error != "timeout": // the socket ended, or the frame was refused
			w.record(ctx, a)
			m.Error = a.result()
		}
		return m
	}
	m.MS = sinceMS(began, time.Now())
	return m
}

// storeMessage sends a message that is stored, which both sides see.
func (w *walk) storeMessage(ctx context.Context) result {
	if !w.Send {
		return skipped("no message was stored; give --send to store one in the room")
	}
	if len(w.sockets) == 0 {
		return skipped("no message was stored, since the room was not entered")
	}
	c := w.sockets[0]
	a := Attempt{Probe: "stored", Path: w.roomPath(client.Chat), Sent: "a message", Status: 101, Ours: true, Replica: replicaOf(c), Ref: c.Ref()}
	id := client.NewID()
	_ = c.SendMessage("roomspa diagnose", id) // the error of Read says more
	f, ok := w.await(ctx, c, &a, func(f client.Frame) bool { return f.Type == frame.TypeAck && f.ClientMessageID == id })
	a.OK, a.MS = ok, a.TotalMS
	a.Frames = ""
	if a = w.record(ctx, a); !ok {
		return summary([]Attempt{a}, "", 0)
	}
	stored := time.Duration(a.TotalMS * float64(time.Millisecond))
	all := w.readBack(ctx, id)
	if len(failures(all)) > 0 {
		return summary(all, "", 0)
	}
	_, by, _ := shares(all)
	r := passed("message %d of the conversation is stored, acknowledged in %s, and read back %d times from replica %s", f.Seq, durationText(stored), len(all), by)
	r.median, r.limit = stored, messageLimit
	return r
}

// readBacks is how often a stored message is read: a proxy gets to each of its replicas.
const readBacks = 6

// readBack reads a stored message from the history of new sockets.
func (w *walk) readBack(ctx context.Context, id string) []Attempt {
	return repeat(ctx, readBacks, w.width, func(i int) (Attempt, bool) {
		conn, _, a := w.enter(ctx, Attempt{Probe: "history", Path: w.roomPath(client.Chat), Sent: "a request for the history", Address: w.address(i)}, client.Options{Token: w.Token}, "")
		if conn == nil {
			return w.record(ctx, a), i < 2
		}
		defer closeSocket(conn)
		_ = conn.Send([]byte(`{"type":"history"}`)) // the error of Read says more
		f, ok := w.await(ctx, conn, &a, ofType(frame.TypeHistory))
		a.OK = ok && slices.ContainsFunc(f.Messages, func(m client.Frame) bool { return m.ClientMessageID == id })
		if ok && !a.OK {
			a.Code, a.Detail = splitDatabase, "the message that was stored a moment ago is not in its history"
		}
		return w.record(ctx, a), true
	})
}

// splitDatabase is the cause of messages that some replicas have and others lack.
const splitDatabase = "split_database"
