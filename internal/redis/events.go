package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/logging"
)

// ErrStale means that an event is authentic, but too old. Drop it.
var ErrStale = errors.New("the event is too old")

var errNoDeployment = errors.New("the identity of the deployment has not been read from Postgres yet")

// tags is the number of hash tags in names. In Redis Cluster a tag chooses the slot.
const tags = 32

// dropLogInterval is the minimum time between two log lines about dropped events.
const dropLogInterval = time.Minute

// Use sets the deployment that the client belongs to. Before, everything that needs a key
// or a channel fails.
func (c *Client) Use(d event.Deployment) { c.process.Use(d) }

// Ring returns the keys and the identity in use, or nil before Use.
func (c *Client) Ring() *event.Ring { return c.process.Ring() }

// Process returns the id that events of this client are sealed under.
func (c *Client) Process() event.ProcessID { return c.process.ID() }

// Base returns the beginning of all names of a deployment. After it come the tag in braces,
// a colon, and the group.
func (c *Client) Base(d *event.Deployment) string { return c.prefix + d.ID + ":" }

// Name returns the name of the channel of a group.
func (c *Client) Name(d *event.Deployment, group string) string { return Name(c.prefix, d.ID, group) }

// name returns the name of a key. Keys of the same group are in one slot of Redis Cluster.
func (c *Client) name(d *event.Deployment, group, tail string) string {
	return Name(c.prefix, d.ID, group) + tail
}

// Name returns the name of a group's channel and the beginning of its keys: the prefix, the
// deployment, a tag in braces, and the group.
func Name(prefix, deployment, group string) string {
	return nameIn(prefix+deployment+":", tagOf(group), group)
}

func nameIn(base string, tag int, group string) string {
	return base + "{" + strconv.Itoa(tag) + "}:" + group
}

// tagOf returns the hash tag of a group.
func tagOf(group string) int {
	hash := uint32(2166136261) // FNV-1a; package hash/fnv would allocate
	for i := range len(group) {
		hash = (hash ^ uint32(group[i])) * 16777619
	}
	return int(hash % tags)
}

// ring returns the ring in use. Before there is one, it returns an error that wraps
// [room.ErrUnavailable].
func (c *Client) ring(attempt string) (*event.Ring, error) {
	if r := c.process.Ring(); r != nil {
		return r, nil
	}
	return nil, c.unavailable(attempt, errNoDeployment)
}

// Open opens an event in place that was found under a name. Older events than maxAge are
// stale; 0 means the limit of the kind. Open counts events that cannot be used, and logs the
// likely cause at most once a minute. Errors are those of [event.Ring.Open] and [ErrStale].
func (c *Client) Open(r *event.Ring, name string, sealed []byte, maxAge time.Duration) (event.Event, error) {
	now := time.Now()
	e, err := r.Open(name, sealed)
	if err == nil && (maxAge == 0 && e.Stale(now) || maxAge > 0 && now.Sub(e.At).Abs() > maxAge) {
		err = ErrStale
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrStale):
		c.drops.add(c, "stale", now, fmt.Sprintf("a %v is %v old: the clock of its sender is wrong, or it was sent again by somebody else",
			e.Kind, now.Sub(e.At).Round(time.Second)))
	case !errors.Is(err, event.ErrForeign):
		c.drops.add(c, "unknown", now, fmt.Sprintf("%v (kind %d): a newer release has sent it", err, uint8(e.Kind)))
	case r.Knows(sealed):
		c.drops.add(c, "not_authentic", now, "an event was forged, damaged or copied, or its sender has not noticed yet that the database was restored")
	default:
		c.drops.add(c, "unknown_key", now, "an event is sealed with a key that is not in Postgres: another deployment, or a key from before a rotation")
	}
	return e, err
}

// drops counts events that cannot be used.
type drops struct {
	mu     sync.Mutex
	count  int // since logged
	logged time.Time
}

func (d *drops) add(c *Client, reason string, now time.Time, likely string) {
	c.metrics.dropped.WithLabelValues(reason).Inc()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count++
	if now.Sub(d.logged) < dropLogInterval {
		return
	}
	logging.Component(c.log, slog.LevelWarn, "Events", "Dropped events: "+likely,
		slog.String("reason", reason), slog.Int("dropped", d.count))
	d.count, d.logged = 0, now
}
