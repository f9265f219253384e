package channel

import (
	"errors"
	"fmt"
	"log/slog"
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
	parts    [2]error
	err      error
	since    time.Time
	starting bool // being down is not logged until the first attempt has ended
	downAt   time.Time
}

func newHealth(log *slog.Logger, m *metrics) *health {
	now := time.Now()
	return &health{
		log: log, metrics: m, parts: [2]error{errStarting, errStarting}, err: errNoDeployment,
		since: now, downAt: now, starting: true,
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
	return h.parts[part]
}

// set records that a part works (nil) or why not. It reports whether this ends an outage.
func (h *health) set(part int, err error) (restored bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts[part] = err
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
		h.starting = false
	case h.err != nil && before == nil:
		h.since = time.Now()
		h.downAt = h.since
		h.metrics.up.Set(0)
		h.write(slog.LevelError, "Connection lost: "+h.err.Error(), slog.String("cause", cause.Of(h.err)))
	case h.err != nil && h.starting && err != nil:
		h.starting = false
		h.write(slog.LevelError, "Cannot connect: "+h.err.Error(), slog.String("cause", cause.Of(h.err)))
	}
	return restored
}

// stop records that the layer was stopped, which is not logged as a failure.
func (h *health) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts = [2]error{errStopped, errStopped}
	h.err, h.since = errStopped, time.Now()
	h.metrics.up.Set(0)
}

// combine returns the errors of the parts as one.
func (h *health) combine() error {
	subscribe, publish := h.parts[subscribing], h.parts[publishing]
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
