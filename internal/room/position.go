package room

import (
	"math"
	"strconv"
	"time"
)

// A Position is a position that a user reported (WGS 84). NaN means that a value is absent.
type Position struct {
	Latitude, Longitude float64   // degrees
	Accuracy            float64   // metres
	Heading             float64   // degrees clockwise from north
	Speed               float64   // metres a second
	RecordedAt          time.Time // zero if absent
}

// Normalize removes values that are out of range, which is how devices say that they do not know
// them (a heading or a speed of -1). It returns an error if the position itself is missing or out of
// range, or if its accuracy is negative, which says the same of the position.
func (p *Position) Normalize() *Invalid {
	for _, c := range []struct {
		field string
		v     float64
		top   float64
	}{{"latitude", p.Latitude, 90}, {"longitude", p.Longitude, 180}} {
		switch {
		case math.IsNaN(c.v):
			return &Invalid{"missing_field", c.field, c.field + " is missing"}
		case math.Abs(c.v) > c.top:
			return &Invalid{"out_of_range", c.field, c.field + " must be between " + ftoa(-c.top) + " and " + ftoa(c.top) + " degrees"}
		}
	}
	if p.Accuracy < 0 {
		return &Invalid{"out_of_range", "accuracy", "accuracy must be 0 metres or more; a negative one says that the position is not known"}
	}
	if math.IsInf(p.Accuracy, 1) {
		p.Accuracy = math.NaN()
	}
	if p.Heading < 0 || p.Heading > 360 {
		p.Heading = math.NaN()
	}
	if p.Speed < 0 || math.IsInf(p.Speed, 1) {
		p.Speed = math.NaN()
	}
	return nil
}

// Newer reports whether p replaces old, an earlier position of the same device. It does, unless
// both have a RecordedAt and that of p is earlier.
func (p Position) Newer(old Position) bool {
	return p.RecordedAt.IsZero() || old.RecordedAt.IsZero() || !p.RecordedAt.Before(old.RecordedAt)
}

// A PositionReport is what became of the positions that a user sent in one request.
type PositionReport struct {
	Accepted int // were no older than the one that the user reported before
	Outdated int // were older, and are dropped
	Refused  []RefusedPosition
}

// A RefusedPosition is a position that is no valid one.
type RefusedPosition struct {
	Index int // in the request, from 0
	Invalid
}

func itoa(n int) string     { return strconv.Itoa(n) }
func ftoa(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
