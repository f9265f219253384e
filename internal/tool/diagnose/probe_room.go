package diagnose

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

const needsRoom = "give the URL of a room and a token, or the credentials of both sides"

// canJoin returns why no room can be entered, or "".
func (w *walk) canJoin() string {
	switch {
	case w.signInFailed:
		return signInFailed
	case w.room == "":
		return needsRoom
	case w.facts.Token != nil && w.facts.Token.Refusal != "":
		return "the token is not good"
	case !w.reached():
		return "nothing reaches roomspa"
	}
	return ""
}

// roomPath returns the path of an endpoint of the room, with the query of the URL given if that
// names the endpoint.
func (w *walk) roomPath(endpoint client.Endpoint) string {
	path := "/ws/" + string(endpoint) + "/" + w.room
	if client.EndpointOf(w.target.String()) == endpoint && w.target.RawQuery != "" {
		path += "?" + w.target.RawQuery
	}
	return path
}

// enter opens a socket in a room and waits for its connected frame.
func (w *walk) enter(ctx context.Context, a Attempt, o client.Options, secret string) (*client.Conn, client.Frame, Attempt) {
	conn, a := w.open(ctx, a, o, secret)
	if conn == nil {
		return nil, client.Frame{}, a
	}
	f, ok := w.await(ctx, conn, &a, ofType(frame.TypeConnected))
	if !ok {
		conn.CloseNow()
		return nil, f, a
	}
	a.Ours = a.Ours || f.Ref != "" // a proxy may drop the header
	a.OK, a.Frames = a.Ours, frame.TypeConnected
	return conn, f, a
}

// joinRoom opens ten sockets in the chat of the room. It keeps two, on different replicas if
// there are several.
func (w *walk) joinRoom(ctx context.Context) result {
	if why := w.canJoin(); why != "" {
		return skipped(why)
	}
	var mu sync.Mutex
	var first client.Frame
	all := repeat(ctx, times, w.width, func(i int) (Attempt, bool) {
		o := client.Options{Token: w.Token}
		sent := "a subprotocol"
		if w.Token == "" {
			sent = ""
		}
		conn, f, a := w.enter(ctx, Attempt{Probe: "handshake", Path: w.roomPath(client.Chat), Sent: sent, Address: w.address(i)}, o, "")
		if conn == nil {
			signature := strings.Contains(a.Detail, "bad_signature") || strings.Contains(a.Detail, "unknown_key")
			return w.record(ctx, a), i < 2 || signature || w.has(func(a *Attempt) bool { return a.Probe == "handshake" && a.OK })
		}
		mu.Lock()
		defer mu.Unlock()
		first = f
		w.keep(conn)
		return w.record(ctx, a), true
	})
	r := summary(all, "handshakes in the room", time.Second)
	if !r.ok {
		return r
	}
	if first.LastSeq != nil {
		r.detail += fmt.Sprintf(", %d messages in the conversation", *first.LastSeq)
	}
	if len(w.sockets) == 2 && replicaOf(w.sockets[0]) != replicaOf(w.sockets[1]) {
		r.detail += "; two replicas answered"
	}
	return r
}

// keep keeps a socket for the exchange of messages, or closes it.
func (w *walk) keep(conn *client.Conn) {
	switch {
	case len(w.sockets) < 2:
		w.sockets = append(w.sockets, conn)
	case replicaOf(w.sockets[0]) == replicaOf(w.sockets[1]) && replicaOf(conn) != replicaOf(w.sockets[0]):
		closeSocket(w.sockets[1])
		w.sockets[1] = conn
	default:
		closeSocket(conn)
	}
}

// testLocation opens the location endpoint of the room. It sends no position, which the
// other side would see.
func (w *walk) testLocation(ctx context.Context) result {
	if why := w.canJoin(); why != "" {
		return skipped(why)
	}
	if w.Token == "" && client.EndpointOf(w.target.String()) != client.Location {
		return result{} // refused as the chat
	}
	conn, _, a := w.enter(ctx, Attempt{Probe: "location", Path: w.roomPath(client.Location), Sent: "a subprotocol"}, client.Options{Token: w.Token}, "")
	if w.Token == "" {
		a.Sent = ""
	}
	if conn == nil {
		return summary([]Attempt{w.record(ctx, a)}, "", 0)
	}
	defer closeSocket(conn)
	began := time.Now()
	_ = conn.Send(client.Ping) // the error of Read says more
	joined := a.TotalMS
	_, a.OK = w.await(ctx, conn, &a, ofType(frame.TypePong))
	a.TotalMS = joined
	if a = w.record(ctx, a); !a.OK {
		return summary([]Attempt{a}, "", 0)
	}
	r := passed("connected, ref %s, in %s, ping answered in %s", conn.Ref(), milliseconds(joined), durationText(time.Since(began)))
	r.median, r.limit = time.Duration(joined*float64(time.Millisecond)), time.Second
	return r
}
