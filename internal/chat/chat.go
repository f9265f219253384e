// Package chat is the endpoint /ws/chat/: it stores the messages that a socket sends
// and delivers the messages of its conversation to it. The store is the source of
// truth. The channel layer only speeds up delivery; a message that it loses is read
// from the store.
package chat

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/roomspa/roomspa/internal/block"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/room"
)

// Store is what chat needs from Postgres. Its errors wrap [room.ErrUnavailable] if
// the database cannot be used, and also [room.ErrOutcomeUnknown] if the message may
// have been committed.
type Store interface {
	// Conversation gets or creates the conversation of a room. Unread is that of the user.
	Conversation(ctx context.Context, r room.Room, user room.UserID) (room.Conversation, error)
	// Append stores a message. The message is committed when it returns.
	Append(ctx context.Context, conversation room.ID, d room.Draft) (m room.Message, duplicate bool, err error)
	// Repeated returns the message of the sender that has the ClientMessageID of d, if it is stored.
	Repeated(ctx context.Context, conversation room.ID, d room.Draft) (m room.Message, found bool, err error)
	// After returns the messages that follow seq, in order, and whether there may be more.
	// It returns up to limit messages and size bytes, but at least one message if there is
	// one. It reads limit rows.
	After(ctx context.Context, conversation room.ID, seq int64, limit, size int) ([]room.Message, bool, error)
	// Before returns the messages before seq (0: the newest ones), oldest first, and
	// whether there are older ones. Limit and size bound them as in After.
	Before(ctx context.Context, conversation room.ID, seq int64, limit, size int) ([]room.Message, bool, error)
	// Tails returns the highest seq of each conversation that has a message younger
	// than since.
	Tails(ctx context.Context, since time.Duration) (map[room.ID]int64, error)
	// ChangedCursors returns the cursors that have changed since so long ago.
	ChangedCursors(ctx context.Context, since time.Duration) ([]room.Receipt, error)
	// CursorsOf returns the cursors of conversations.
	CursorsOf(ctx context.Context, conversations []room.ID) ([]room.Receipt, error)
}

// Layer is what chat needs from the channel layer.
type Layer interface {
	// Join calls deliver for each event of the group. Its body can be read. Join calls
	// missed when events may have been lost, and when the layer is up again. With reset
	// the database was restored or replaced, and no event of before follows. The calls
	// end with leave. Join returns when the subscription is confirmed.
	Join(ctx context.Context, group string, deliver func(event.Event), missed func(reset bool)) (leave func(), err error)
	// Publish does not block. It calls done once, with nil if Redis has the event.
	Publish(group string, body event.Body, done func(error))
	// Health returns nil if the layer is up, else the reason, and since when it is down.
	Health() (since time.Time, err error)
}

// Blocks knows which users have blocked each other.
type Blocks interface {
	// Watch returns the blocks of a room, which follow changes until they are released. Its
	// errors are those of Store.
	Watch(ctx context.Context, in room.Room) (*block.Pair, error)
}

// Inboxes are the open inboxes of users.
type Inboxes interface {
	// Notify announces a stored message to the inboxes of both sides. It does not block.
	Notify(r room.Room, m room.Message)
}

// logRate is the number of messages per second that are logged. Above it messages
// are sampled. Failures are always logged.
const logRate = 100

// slowAfter is the time above which a commit or a delivery is reported to [Options.Slow].
const slowAfter = 100 * time.Millisecond

// Options are the limits of the chat endpoint.
type Options struct {
	MaxMessageLength int      // code points
	Presence         Presence // nil: nobody is told who is online
	Blocks           Blocks   // nil: nobody has blocked anybody
	Inboxes          Inboxes  // nil: nobody has an inbox open
	SupportMaySend   bool
	Failures         *failure.Log // learns of the messages that clients send; may be nil
	// Slow learns of each commit and delivery that took longer than 100 ms. It must not block.
	// It may be nil.
	Slow func(r room.Room, what string, took time.Duration)
}

func (o *Options) slow(r room.Room, what string, took time.Duration) {
	if o.Slow != nil {
		o.Slow(r, what, took)
	}
}

// Chat is the chat endpoint of one replica. Make one with [New], and run [Chat.Run]:
// it finds the messages that no cursor can miss.
type Chat struct {
	options    Options
	store      Store
	layer      Layer
	receipts   Receipts
	metrics    *metrics
	logLimiter *rate.Limiter
	sweepNow   chan struct{} // holds a value if a sweep is requested
	turns      turns         // to read messages
	resets     atomic.Int64  // of sockets
	typists    typists

	mu      sync.Mutex
	sockets map[room.ID][]*Consumer // by conversation
}

// New returns the chat endpoint.
func New(o Options, store Store, layer Layer, marks Receipts, reg prometheus.Registerer) *Chat {
	return &Chat{
		options: o, store: store, layer: layer, receipts: marks, metrics: newMetrics(reg),
		logLimiter: rate.NewLimiter(logRate, logRate),
		sweepNow:   make(chan struct{}, 1), sockets: map[room.ID][]*Consumer{},
	}
}

func (c *Chat) add(s *Consumer, conversation room.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets[conversation] = append(c.sockets[conversation], s)
}

func (c *Chat) remove(s *Consumer, conversation room.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.DeleteFunc(c.sockets[conversation], func(other *Consumer) bool { return other == s })
	if c.sockets[conversation] = list; len(list) == 0 {
		delete(c.sockets, conversation)
	}
}

// layerUp reports whether the channel layer is up. While it is down nothing is
// delivered: messages must not bypass Redis through Postgres.
func (c *Chat) layerUp() bool {
	_, err := c.layer.Health()
	return err == nil
}
