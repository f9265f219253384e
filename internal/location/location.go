// Package location is the location endpoint: the live position of the two sides
// of a room. Only the newest position of a sender counts, so nothing is queued
// and nothing is stored but the last one, for a while.
package location

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/roomspa/roomspa/internal/room"
)

// Layer is what location needs from Redis to hear and to be heard.
type Layer interface {
	// Join calls deliver for each payload of the group, and missed when something
	// may have been lost, until leave is called. It returns when the subscription is
	// confirmed.
	Join(ctx context.Context, group string, deliver func(payload []byte), missed func()) (leave func(), err error)
	// Publish never blocks. It calls done once, with nil when Redis has the payload.
	Publish(group string, payload []byte, done func(error))
}

// Positions keeps the last position of each sender of a room for a while.
type Positions interface {
	// Save keeps a payload, unless one that was recorded later is there. It never
	// blocks, and calls done once.
	Save(r room.Room, user room.UserID, payload []byte, recordedAt time.Time, done func(error))
	// Last returns the payloads that are kept.
	Last(ctx context.Context, r room.Room) ([][]byte, error)
}

// linesPerSecond is how many positions a second are logged; above it the lines
// are sampled. Failures are always logged.
const linesPerSecond = 100

// Location is the location endpoint of one replica. Make one with [New].
type Location struct {
	layer     Layer
	positions Positions
	metrics   *metrics
	lines     *rate.Limiter
}

// New returns the location endpoint.
func New(layer Layer, positions Positions, reg prometheus.Registerer) *Location {
	return &Location{layer: layer, positions: positions, metrics: newMetrics(reg), lines: rate.NewLimiter(linesPerSecond, linesPerSecond)}
}
