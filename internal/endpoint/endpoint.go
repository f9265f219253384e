// Package endpoint declares the shape of a WebSocket endpoint: what a request must
// bring, who may enter, and the consumer behind each socket. [Base] is the part
// that all consumers share. The package performs no I/O: sessions, stores and the
// channel layer are behind interfaces.
//
// A new endpoint implements [Consumer], returns an [Endpoint], and is listed in
// package app.
package endpoint

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// An Endpoint declares one path below /ws/. The handshake runs the same steps for
// every endpoint and asks the endpoint for the rest.
//
// Of an endpoint that takes a token, Group and Load are required. One that is
// Anonymous joins no group and its consumers' Join is not called.
type Endpoint struct {
	// Name is the path segment below /ws/. It is also the endpoint label of metrics.
	Name string
	// Component is the name in log lines, for example ChatConsumer.
	Component string
	// Anonymous says that the endpoint takes no token and knows no user.
	Anonymous bool
	// Classic says that the endpoint also serves clients of the predecessor, see
	// [Peer.Classic].
	Classic bool
	// IDs names the user ids that follow Name in the path, for example customer_id.
	// A missing one is refused with missing_<name>.
	IDs []string
	// Query checks the query parameters of the endpoint. It runs before Authorize.
	// Nil means that there are none.
	Query func(url.Values) *frame.Close
	// Authorize decides whether the user may open the socket. find returns a user
	// that the path names, or nil if there is no such user. A nil Authorize admits
	// every user. It may swap the ids of a path that names the same room in another way.
	Authorize func(p Peer, find func(room.UserID) *room.User) *Rejection
	// Group returns the channel-layer group that the consumer joins.
	Group func(Peer) string
	// Load is the name of the step that calls Consumer.Open, for example
	// "conversation loaded".
	Load string
	// New returns the consumer of a socket. It is called once the peer is authorized,
	// and must not do I/O.
	New func(Peer) Consumer
}

// Path returns the path of the endpoint, with its ids in braces.
func (e *Endpoint) Path() string {
	path := "/ws/" + e.Name + "/"
	if len(e.IDs) > 0 {
		path += "{" + strings.Join(e.IDs, "}/{") + "}/"
	}
	return path
}

// A Peer is the client of a socket and what it asked for.
type Peer struct {
	User   *room.User    // nil if the endpoint is anonymous
	IDs    []room.UserID // from the path, in the order of Endpoint.IDs
	Query  url.Values    // may contain the token: consumers must not keep it
	Group  string        // channel-layer group; empty if the endpoint is anonymous
	Socket Socket
	// Classic means that the client speaks the dialect of the predecessor. It is decided once,
	// by the request.
	Classic bool
}

// A Socket is what a consumer needs of its session. All methods are safe for
// concurrent use and do not block.
type Socket interface {
	// Wake makes the writer call Consumer.Next.
	Wake()
	// Log returns the logger of the connection.
	Log() *logging.Conn
	// Renew replaces the token of the session. If it returns an error, which is a
	// *room.Invalid, the session keeps its token.
	Renew(token string) error
	// PausePings suspends the server's pings for d.
	PausePings(d time.Duration)
	// Account returns what the client holds of the replica's budget. The consumer takes what
	// it keeps for the client, and gives it back. The session gives back the rest at its end.
	Account() *budget.Account
}

// A Consumer is the endpoint's side of one socket. Receive, Next and Closed are
// called by the session, see session.Handler for their contract.
type Consumer interface {
	// Join joins Peer.Group. It returns when the channel layer has confirmed the
	// subscription.
	Join(ctx context.Context) error
	// Open loads what the first frames need, and queues them. Its error should be a
	// *Rejection; any other error is an internal one.
	Open(ctx context.Context) error

	Receive(ctx context.Context, m frame.Message) error
	Next(ctx context.Context, wait bool) (frame.Message, error)
	Closed()
}
