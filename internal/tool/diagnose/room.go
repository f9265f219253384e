package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// handshakes is how many are made to see a second replica: behind a balancer that
// has two and chooses by chance, one time in two thousand is not enough.
const handshakes = 12

// join opens a socket in a room and reads its first frame.
func (w *walk) join(ctx context.Context, url string) (*client.Conn, client.Frame, error) {
	conn, err := w.open(ctx, client.Options{URL: url, Token: w.Token})
	if err != nil {
		return nil, client.Frame{}, err
	}
	f, err := w.first(ctx, conn, frame.TypeConnected)
	if err != nil {
		conn.CloseNow()
		t, _ := errors.AsType[*trouble](err)
		if name := replicaOf(conn); name != "" {
			t.detail = "replica " + name + " " + t.detail
		}
		return nil, f, t
	}
	return conn, f, nil
}

func (w *walk) isChat() bool { return client.EndpointOf(w.target.String()) == client.Chat }

func (w *walk) chatURL() string {
	if w.isChat() {
		return w.target.String()
	}
	return w.socketURL("/ws/chat/" + w.room)
}

// enter opens the socket that was asked for.
func (w *walk) enter(ctx context.Context) (string, error) {
	if w.room == "" {
		return "", errNotHere
	}
	began := time.Now()
	conn, f, err := w.join(ctx, w.target.String())
	took := time.Since(began)
	if t, ok := errors.AsType[*trouble](err); ok {
		if t.cause == auth.TokenInvalid && (strings.Contains(t.detail, "bad_signature") || strings.Contains(t.detail, "unknown_key")) {
			return "", w.elsewhere(ctx, t)
		}
		return "", t
	}
	detail := fmt.Sprintf("connected, ref %s, in %s", conn.Ref(), short(took))
	if name := replicaOf(conn); name != "" {
		detail += ", replica " + name
	}
	if f.LastSeq != nil {
		detail += fmt.Sprintf(", %d messages so far", *f.LastSeq)
	}
	if w.isChat() {
		w.sockets = append(w.sockets, conn)
	} else {
		bye(conn)
	}
	return detail, nil
}

// elsewhere asks whether another replica takes the token that one has refused.
func (w *walk) elsewhere(ctx context.Context, refused *trouble) *trouble {
	for range handshakes - 1 {
		conn, _, err := w.join(ctx, w.target.String())
		if err != nil {
			continue
		}
		bye(conn)
		return &trouble{cause: "different_secrets", ref: refused.ref, detail: fmt.Sprintf("%s; replica %s takes the same token", refused.detail, replicaOf(conn))}
	}
	return refused
}

// spread opens more sockets in the room until two replicas have been seen.
func (w *walk) spread(ctx context.Context) (string, error) {
	if w.room == "" {
		return "", errNotHere
	}
	seen := []string{}
	note := func(c *client.Conn) bool {
		name := replicaOf(c)
		fresh := !slices.Contains(seen, name)
		if fresh {
			seen = append(seen, name)
		}
		return fresh
	}
	if len(w.sockets) > 0 {
		note(w.sockets[0])
	}
	tries := 0
	for ; tries < handshakes && len(seen) < 2; tries++ {
		w.watch.Waits("replicas", fmt.Sprintf("handshake %d of %d at most, to see a second replica", tries+1, handshakes))
		conn, _, err := w.join(ctx, w.chatURL())
		if t, ok := errors.AsType[*trouble](err); ok {
			if t.cause == auth.TokenInvalid && len(w.sockets) > 0 {
				t = &trouble{cause: "different_secrets", ref: t.ref, detail: fmt.Sprintf("%s; replica %s takes the same token", t.detail, seen[0])}
			}
			return "", t
		}
		switch fresh := note(conn); {
		case len(w.sockets) < 2:
			w.sockets = append(w.sockets, conn)
		case fresh:
			bye(w.sockets[1])
			w.sockets[1] = conn
		default:
			bye(conn)
		}
		if seen[0] == "" { // a release that does not name itself
			break
		}
	}
	switch {
	case len(seen) == 2:
		return "two replicas answer: " + seen[0] + " and " + seen[1], nil
	case seen[0] == "":
		return "the server does not name its replicas", nil
	}
	return fmt.Sprintf("one replica answers all handshakes (%d): %s", tries+1, seen[0]), nil
}

// location opens the other endpoint of the room. No position is sent: the other side
// would see it.
func (w *walk) location(ctx context.Context) (string, error) {
	if w.room == "" || !w.isChat() {
		return "", errNotHere
	}
	conn, _, err := w.join(ctx, w.socketURL("/ws/location/"+w.room))
	if err != nil {
		return "", err
	}
	defer bye(conn)
	began := time.Now()
	if err := conn.Send([]byte(`{"type":"ping"}`)); err != nil {
		return "", &trouble{cause: "abnormal", ref: conn.Ref(), detail: "the connection ended without a Close frame"}
	}
	if _, err := w.first(ctx, conn, frame.TypePong); err != nil {
		return "", err
	}
	return fmt.Sprintf("connected, ref %s, and a ping comes back in %s", conn.Ref(), short(time.Since(began))), nil
}
