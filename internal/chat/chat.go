// Package chat is the chat endpoint: what a message goes through between one
// socket and the store, and between the channel layer and another socket. The
// store is the log, the channel layer only says that there is news; whatever was
// lost on the way is read from the store.
package chat

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/roomspa/roomspa/internal/room"
)

// Store is what chat needs from Postgres. Its errors wrap room.ErrUnavailable
// where it cannot be used, and room.ErrOutcomeUnknown beside it where a message
// may have been committed all the same.
type Store interface {
	// Conversation gets or creates the conversation of a room.
	Conversation(ctx context.Context, r room.Room) (room.Conversation, error)
	// Append stores a message; it is committed on return.
	Append(ctx context.Context, conversation room.ID, d room.Draft) (m room.Message, duplicate bool, err error)
	// After returns the messages that follow seq, in order, at most limit.
	After(ctx context.Context, conversation room.ID, seq int64, limit int) ([]room.Message, error)
	// Before returns the messages before seq (0: the newest), oldest first, at most
	// limit, and whether there are older ones.
	Before(ctx context.Context, conversation room.ID, seq int64, limit int) ([]room.Message, bool, error)
	// Tails returns the highest seq of each conversation that has a message younger
	// than since.
	Tails(ctx context.Context, since time.Duration) (map[room.ID]int64, error)
}

// Layer is what chat needs from Redis.
type Layer interface {
	// Join calls deliver for each payload of the group, and missed when something
	// may have been lost and when the layer is up again, until leave is called. It
	// returns when the subscription is confirmed.
	Join(ctx context.Context, group string, deliver func(payload []byte), missed func()) (leave func(), err error)
	// Publish never blocks. It calls done once, with nil when Redis has the payload.
	Publish(group string, payload []byte, done func(error))
	// Health returns nil while the layer hears; else since when it does not, and why.
	Health() (since time.Time, err error)
}

// linesPerSecond is how many messages a second are logged line by line; above it
// the lines are sampled. Failures are always logged.
const linesPerSecond = 100

// Options are the limits of the chat endpoint.
type Options struct {
	MaxMessageLength int // code points
}

// Chat is the chat endpoint of one replica. Make one with [New], and let
// [Chat.Run] look after what the cursors cannot see.
type Chat struct {
	options Options
	store   Store
	layer   Layer
	metrics *metrics
	doubts  chan struct{}
	lines   *rate.Limiter // of the log lines that every message has

	mu      sync.Mutex
	sockets map[room.ID][]*Consumer // by conversation
}

// New returns the chat endpoint.
func New(o Options, store Store, layer Layer, reg prometheus.Registerer) *Chat {
	return &Chat{
		options: o, store: store, layer: layer, metrics: newMetrics(reg),
		lines:  rate.NewLimiter(linesPerSecond, linesPerSecond),
		doubts: make(chan struct{}, 1), sockets: map[room.ID][]*Consumer{},
	}
}

func (c *Chat) add(s *Consumer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets[s.conversation] = append(c.sockets[s.conversation], s)
}

func (c *Chat) remove(s *Consumer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.sockets[s.conversation]
	for i := range list {
		if list[i] == s {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			list = list[:len(list)-1]
			break
		}
	}
	if len(list) == 0 {
		delete(c.sockets, s.conversation)
	} else {
		c.sockets[s.conversation] = list
	}
}

// doubt says that messages may have been lost that no cursor can miss. It never
// blocks.
func (c *Chat) doubt() {
	select {
	case c.doubts <- struct{}{}:
	default:
	}
}

// up reports whether the channel layer hears. While it does not, nothing is
// delivered: Postgres must not become a side door.
func (c *Chat) up() bool {
	_, err := c.layer.Health()
	return err == nil
}
