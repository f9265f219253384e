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

// maxHandshakes is the number of handshakes in search of a second replica. A balancer that
// chooses one of two at random chooses the same one twelve times with a probability of one
// in two thousand.
const maxHandshakes = 12

// openRoom opens a socket in a room and waits for its connected frame. The error is a
// *problem.
func (d *diagnosis) openRoom(ctx context.Context, url string) (*client.Conn, client.Frame, error) {
	conn, err := d.open(ctx, client.Options{URL: url, Token: d.Token})
	if err != nil {
		return nil, client.Frame{}, err
	}
	f, err := d.awaitFrame(ctx, conn, frame.TypeConnected)
	if err != nil {
		conn.CloseNow()
		p, _ := errors.AsType[*problem](err)
		if name := replicaOf(conn); name != "" {
			p.detail = "replica " + name + " " + p.detail
		}
		return nil, f, p
	}
	return conn, f, nil
}

func (d *diagnosis) isChat() bool { return client.EndpointOf(d.target.String()) == client.Chat }

func (d *diagnosis) chatURL() string {
	if d.isChat() {
		return d.target.String()
	}
	return d.socketURL("/ws/chat/" + d.room)
}

// joinRoom opens a socket on the endpoint of the room.
func (d *diagnosis) joinRoom(ctx context.Context) (string, error) {
	if d.room == "" {
		return "", errSkipped
	}
	began := time.Now()
	conn, f, err := d.openRoom(ctx, d.target.String())
	took := time.Since(began)
	if p, ok := errors.AsType[*problem](err); ok {
		if p.cause == auth.TokenInvalid && (strings.Contains(p.detail, "bad_signature") || strings.Contains(p.detail, "unknown_key")) {
			return "", d.tryOtherReplicas(ctx, p)
		}
		return "", p
	}
	detail := fmt.Sprintf("connected, ref %s, in %s", conn.Ref(), durationText(took))
	if name := replicaOf(conn); name != "" {
		detail += ", replica " + name
	}
	if f.LastSeq != nil {
		detail += fmt.Sprintf(", %d messages in the conversation", *f.LastSeq)
	}
	if d.isChat() {
		d.sockets = append(d.sockets, conn)
	} else {
		closeSocket(conn)
	}
	return detail, nil
}

// tryOtherReplicas looks for a replica that accepts the token that one has refused.
func (d *diagnosis) tryOtherReplicas(ctx context.Context, refused *problem) *problem {
	for range maxHandshakes - 1 {
		conn, _, err := d.openRoom(ctx, d.target.String())
		if err != nil {
			continue
		}
		closeSocket(conn)
		return differentSecrets(refused, replicaOf(conn))
	}
	return refused
}

// differentSecrets explains that a replica accepts a token that another one has refused.
func differentSecrets(refused *problem, accepting string) *problem {
	return &problem{cause: "different_secrets", ref: refused.ref, detail: fmt.Sprintf("%s; but replica %s accepts the same token", refused.detail, accepting)}
}

// findReplicas opens more sockets in the room until two replicas have answered.
func (d *diagnosis) findReplicas(ctx context.Context) (string, error) {
	if d.room == "" {
		return "", errSkipped
	}
	replicas := []string{}
	addReplica := func(c *client.Conn) (isNew bool) {
		name := replicaOf(c)
		if isNew = !slices.Contains(replicas, name); isNew {
			replicas = append(replicas, name)
		}
		return isNew
	}
	if len(d.sockets) > 0 {
		addReplica(d.sockets[0])
	}
	tries := 0
	for ; tries < maxHandshakes && len(replicas) < 2; tries++ {
		d.watch.Progress("replicas", fmt.Sprintf("handshake %d of at most %d, to find a second replica", tries+1, maxHandshakes))
		conn, _, err := d.openRoom(ctx, d.chatURL())
		if p, ok := errors.AsType[*problem](err); ok {
			if p.cause == auth.TokenInvalid && len(d.sockets) > 0 {
				p = differentSecrets(p, replicas[0])
			}
			return "", p
		}
		switch isNew := addReplica(conn); {
		case len(d.sockets) < 2:
			d.sockets = append(d.sockets, conn)
		case isNew:
			closeSocket(d.sockets[1])
			d.sockets[1] = conn
		default:
			closeSocket(conn)
		}
		if replicas[0] == "" { // a server version that does not name its replicas
			break
		}
	}
	switch {
	case len(replicas) == 2:
		return "two replicas answered: " + replicas[0] + " and " + replicas[1], nil
	case replicas[0] == "":
		return "the server does not name its replicas", nil
	}
	return fmt.Sprintf("the same replica answered all %d handshakes: %s", tries+1, replicas[0]), nil
}

// testLocation opens the location endpoint of the room. It sends no position, which the
// other side would see.
func (d *diagnosis) testLocation(ctx context.Context) (string, error) {
	if d.room == "" || !d.isChat() {
		return "", errSkipped
	}
	conn, _, err := d.openRoom(ctx, d.socketURL("/ws/location/"+d.room))
	if err != nil {
		return "", err
	}
	defer closeSocket(conn)
	began := time.Now()
	if err := conn.Send(client.Ping); err != nil {
		return "", &problem{cause: "abnormal", ref: conn.Ref(), detail: abnormal}
	}
	if _, err := d.awaitFrame(ctx, conn, frame.TypePong); err != nil {
		return "", err
	}
	return fmt.Sprintf("connected, ref %s, ping answered in %s", conn.Ref(), durationText(time.Since(began))), nil
}
