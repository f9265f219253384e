package redis

import (
	"github.com/roomspa/roomspa/internal/cause"

	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
)

// component is how the channel layer is called in the log.
const component = "ChannelLayer"

// The two things that the layer needs to be able to do.
const (
	hearing  = iota // a subscriber connection, with every group confirmed
	speaking        // a connection that takes PUBLISH
)

// health knows since when the layer is up or down, and why. It logs the changes
// from one to the other, and nothing in between.
type health struct {
	log *slog.Logger
	up  func(bool)

	mu     sync.Mutex
	parts  [2]error
	err    error
	since  time.Time
	quiet  bool // until the first attempt has ended, being down is no news
	downAt time.Time
}

func newHealth(log *slog.Logger, up func(bool)) *health {
	h := &health{log: log, up: up, since: time.Now(), quiet: true}
	h.parts = [2]error{errStarting, errStarting}
	h.err, h.downAt = errStarting, h.since
	return h
}

// get returns since when the layer is up, where the error is nil, or down, where
// it says why.
func (h *health) get() (time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.since, h.err
}

// part returns why the layer cannot hear, or speak.
func (h *health) part(which int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.parts[which]
}

// set says whether one part works: err is nil, or why not. It returns true when
// with that both work again.
func (h *health) set(which int, err error) (restored bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		err = plain(err)
	}
	h.parts[which] = err
	was := h.err
	h.err = h.sum()
	switch {
	case h.err == nil && was != nil:
		h.since = time.Now()
		h.up(true)
		if h.quiet {
			h.say(slog.LevelInfo, "Connected to Redis")
		} else {
			h.say(slog.LevelInfo, "Connection restored", slog.Duration("after", h.since.Sub(h.downAt)))
			restored = true
		}
		h.quiet = false
	case h.err != nil && was == nil:
		h.since = time.Now()
		h.downAt = h.since
		h.up(false)
		h.say(slog.LevelError, "Connection lost: "+h.err.Error(), slog.String("cause", cause.Of(h.err)))
	case h.err != nil && h.quiet && !errors.Is(err, errStarting) && err != nil:
		h.quiet = false
		h.say(slog.LevelError, "Cannot connect: "+h.err.Error(), slog.String("cause", cause.Of(h.err)))
	}
	return restored
}

// stop says that the layer has been stopped, which is no failure.
func (h *health) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts = [2]error{errStopped, errStopped}
	h.err, h.since = errStopped, time.Now()
	h.up(false)
}

// sum puts the parts into one error.
func (h *health) sum() error {
	hear, speak := h.parts[hearing], h.parts[speaking]
	switch {
	case hear == nil && speak == nil:
		return nil
	case speak == nil || errors.Is(speak, errStarting) && hear != nil:
		return because("subscribe", hear)
	case hear == nil || errors.Is(hear, errStarting):
		return because("publish", speak)
	case hear.Error() == speak.Error():
		return because("subscribe and publish", hear)
	default:
		return fmt.Errorf("%w; %w", because("subscribe", hear), because("publish", speak))
	}
}

func (h *health) say(level slog.Level, msg string, attrs ...slog.Attr) {
	logging.Component(h.log, level, component, msg, attrs...)
}
