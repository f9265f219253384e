package channel

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/logging"
)

// component is the name of the channel layer in the log.
const component = "ChannelLayer"

// The two parts of the layer that have to work.
const (
	subscribing = iota // a connection on which every group is confirmed
	publishing         // a pipeline that Redis accepts commands from
)

// health tracks since when the layer is up or down, and why. It logs only the changes
// between the two.
type health struct {
	log     *slog.Logger
	metrics *metrics

	mu       sync.Mutex
	parts    [2][]error // by shard
	err      error
	since    time.Time
	starting bool // being down is not logged until the first attempt has ended
	started  chan struct{}
	downAt   time.Time
}

func newHealth(log *slog.Logger, m *metrics, shards int) *health {
	now := time.Now()
	h := &health{log: log, metrics: m, err: errNoDeployment, since: now, downAt: now, starting: true, started: make(chan struct{})}
	h.setAll(shards, errStarting)
	return h
}

func (h *health) setAll(shards int, err error) {
	for part := range h.parts {
		h.parts[part] = slices.Repeat([]error{err}, shards)
	}
}

// get returns since when the layer is up and nil, or since when it is down and why.
func (h *health) get() (time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.since, h.err
}

// part returns why one part does not work, or nil.
func (h *health) part(part int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reason(part)
}

// reason returns why a part does not work, and in how many shards. The caller holds h.mu.
func (h *health) reason(part int) (reason error) {
	down := 0
	for _, err := range h.parts[part] {
		if err != nil {
			down++
		}
		if reason == nil || errors.Is(reason, errStarting) && err != nil {
			reason = err
		}
	}
	if all := len(h.parts[part]); down > 0 && down < all {
		return fmt.Errorf("%w (%d of %d shards)", reason, down, all)
	}
	return reason
}

// set records that a part of a shard works (nil) or why not. It reports whether this ends an
// outage of the layer, which is up while every shard is.
func (h *health) set(shard, part int, err error) (restored bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts[part][shard] = err
	before := h.err
	h.err = h.combine()
	switch {
	case h.err == nil && before != nil:
		h.since = time.Now()
		h.metrics.up.Set(1)
		if h.starting {
			h.write(slog.LevelInfo, "Connected to Redis")
		} else {
			h.write(slog.LevelInfo, "Connection restored", slog.Duration("after", h.since.Sub(h.downAt)))
			restored = true
		}
		h.start()
	case h.err != nil && before == nil:
		h.since = time.Now()
		h.downAt = h.since
		h.metrics.up.Set(0)
		h.write(slog.LevelError, "Connection lost: "+h.err.Error(), slog.String("cause", cause.Of(h.err)))
	case h.err != nil && h.starting && err != nil:
		h.start()
		h.write(slog.LevelError, "Cannot connect: "+h.err.Error(), slog.String("cause", cause.Of(h.err)))
	}
	return restored
}

// start records that the first attempt has ended. The caller holds h.mu.
func (h *health) start() {
	if h.starting {
		h.starting = false
		close(h.started)
	}
}

// stop records that the layer was stopped, which is not logged as a failure.
func (h *health) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setAll(len(h.parts[subscribing]), errStopped)
	h.err, h.since = errStopped, time.Now()
	h.metrics.up.Set(0)
}

// combine returns the errors of the parts as one.
func (h *health) combine() error {
	subscribe, publish := h.reason(subscribing), h.reason(publishing)
	switch {
	case subscribe == nil && publish == nil:
		return nil
	case publish == nil || errors.Is(publish, errStarting) && subscribe != nil:
		return fmt.Errorf("subscribe: %w", subscribe)
	case subscribe == nil || errors.Is(subscribe, errStarting):
		return fmt.Errorf("publish: %w", publish)
	case subscribe.Error() == publish.Error():
		return fmt.Errorf("subscribe and publish: %w", subscribe)
	default:
		return fmt.Errorf("subscribe: %w; publish: %w", subscribe, publish)
	}
}

func (h *health) write(level slog.Level, msg string, attrs ...slog.Attr) {
	logging.Component(h.log, level, component, msg, attrs...)
}
