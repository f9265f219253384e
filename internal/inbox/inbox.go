// Package inbox is the endpoint /ws/inbox/: one socket for all conversations of a user. It
// tells the newest message, the number of unread messages, and what the user has read
// elsewhere. The store is the source of truth. The channel layer only speeds it up: what it
// loses is read from the store.
package inbox

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/block"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/presence"
	"github.com/roomspa/roomspa/internal/receipt"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	name      = "inbox"
	component = "InboxConsumer"
	// outboxBytes bounds the answers that a client leaves unread.
	outboxBytes = 32 << 10
)

// Store is what the inbox needs from Postgres.
type Store interface {
	// Summaries returns conversations of the user, newest first, that come behind a place,
	// and whether there are more. It returns at most limit and size bytes.
	Summaries(ctx context.Context, user room.UserID, behind *room.Place, limit, size int) ([]room.Summary, bool, error)
	// SummariesOf returns those of the conversations that exist and are the user's.
	SummariesOf(ctx context.Context, user room.UserID, ids []room.ID) ([]room.Summary, error)
	// Changes returns the conversations with a message or a cursor that is younger than
	// since, and the users whose messages were erased since then.
	Changes(ctx context.Context, since time.Duration) (changed []room.Change, erased []room.UserID, err error)
}

// Layer is what the inbox needs from the channel layer.
type Layer interface {
	// Join calls deliver for each event of the group, and missed when events may have been
	// lost. With reset the database was restored or replaced. The calls end with leave.
	Join(ctx context.Context, group string, deliver func(event.Event), missed func(reset bool)) (leave func(), err error)
	// Publish does not block. It calls done once, with nil if Redis has the event.
	Publish(group string, body event.Body, done func(error))
	// Health returns nil if the layer is up, else the reason, and since when it is down.
	Health() (since time.Time, err error)
}

// Receipts stores how far users have read.
type Receipts interface {
	Mark(t receipt.Target, c room.Cursor, done func(room.Cursor, error))
	// Reset drops the marks that are not stored yet: the database was restored or replaced.
	Reset()
}

// Presence knows who is online. See [presence.Registry].
type Presence interface {
	Enabled() bool
	Open(user room.UserID, inbox bool) (closed func())
	Watch(user room.UserID, changed func(presence.State)) (now presence.State, stop func())
	HasInbox(user room.UserID) bool
}

// Blocks knows who has blocked whom. See [block.Registry].
type Blocks interface {
	WatchAll(ctx context.Context, rooms []room.Room) ([]*block.Pair, error)
}

// Inbox is the inbox endpoint of one replica. Make one with [New], and run [Inbox.Run].
type Inbox struct {
	store    Store
	layer    Layer
	receipts Receipts
	presence Presence
	blocks   Blocks
	metrics  *metrics
	sweepNow chan struct{} // holds a value if a sweep is requested
	reads    chan struct{} // bounds the reads at the same time
	resets   atomic.Int64

	mu      sync.Mutex
	sockets map[room.UserID][]*Consumer
}

// maxReads is the number of reads from the store at the same time.
const maxReads = 4

// New returns the inbox endpoint.
func New(store Store, layer Layer, receipts Receipts, online Presence, blocks Blocks, reg prometheus.Registerer) *Inbox {
	return &Inbox{
		store: store, layer: layer, receipts: receipts, presence: online, blocks: blocks, metrics: newMetrics(reg),
		sweepNow: make(chan struct{}, 1), reads: make(chan struct{}, maxReads), sockets: map[room.UserID][]*Consumer{},
	}
}

// Endpoint returns the declaration of the endpoint.
func (i *Inbox) Endpoint() endpoint.Endpoint {
	return endpoint.Endpoint{
		Name: name, Component: component,
		Authorize: func(p endpoint.Peer, _ func(room.UserID) *room.User) *endpoint.Rejection {
			if p.User.Role != room.Support {
				return nil
			}
			return &endpoint.Rejection{
				Close: &frame.Close{Code: frame.CodeForbidden, Reason: "wrong_role", Detail: "support has no conversations of its own"},
				Line:  "Authorization failed - support " + strconv.FormatInt(int64(p.User.ID), 10) + " has no inbox",
			}
		},
		Group: func(p endpoint.Peer) string { return room.InboxGroup(p.User.ID) },
		Load:  "inbox loaded",
		New:   func(p endpoint.Peer) endpoint.Consumer { return i.newConsumer(p) },
	}
}

// Notify announces a stored message to the inboxes of both sides of its room, if they are
// open on any replica. It does not block.
func (i *Inbox) Notify(r room.Room, m room.Message) {
	for _, user := range [...]room.UserID{r.Customer, r.Therapist} {
		if !i.presence.HasInbox(user) {
			continue
		}
		i.layer.Publish(room.InboxGroup(user), event.Inbox{
			Conversation: m.Conversation, Room: r, Seq: m.Seq, Sender: m.Sender, At: m.At, Text: m.Text,
		}, func(err error) {
			if err != nil {
				i.metrics.published("failed") // the sweep finds the message
				return
			}
			i.metrics.published("published")
		})
	}
}

func (i *Inbox) add(s *Consumer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sockets[s.user] = append(i.sockets[s.user], s)
}

func (i *Inbox) remove(s *Consumer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	rest := slices.DeleteFunc(i.sockets[s.user], func(other *Consumer) bool { return other == s })
	if i.sockets[s.user] = rest; len(rest) == 0 {
		delete(i.sockets, s.user)
	}
}

// of returns the open sockets of a user.
func (i *Inbox) of(user room.UserID) []*Consumer {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.sockets[user])
}

// all returns all open sockets.
func (i *Inbox) all() (list []*Consumer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, sockets := range i.sockets {
		list = append(list, sockets...)
	}
	return list
}

// wantsText reports whether the client asks for the texts of messages.
func wantsText(q url.Values) bool { return q.Get("text") == "1" }
