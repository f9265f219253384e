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

// Validate checks the ranges of the fields and returns an error for the first invalid one.
func (p Position) Validate() *Invalid {
	for _, c := range []struct {
		field, unit string
		v, low, top float64
		required    bool
	}{
		{"latitude", "degrees", p.Latitude, -90, 90, true},
		{"longitude", "degrees", p.Longitude, -180, 180, true},
		{"accuracy", "metres", p.Accuracy, 0, math.MaxFloat64, false},
		{"heading", "degrees", p.Heading, 0, 360, false},
		{"speed", "metres a second", p.Speed, 0, math.MaxFloat64, false},
	} {
		switch {
		case math.IsNaN(c.v) && c.required:
			return &Invalid{"missing_field", c.field, c.field + " is missing"}
		case math.IsNaN(c.v):
		case c.v < c.low || c.v > c.top:
			detail := c.field + " must be 0 " + c.unit + " or more"
			if c.top < math.MaxFloat64 {
				detail = c.field + " must be between " + ftoa(c.low) + " and " + ftoa(c.top) + " " + c.unit
			}
			return &Invalid{"out_of_range", c.field, detail}
		}
	}
	return nil
}

// Newer reports whether p replaces old, an earlier position of the same device. It does, unless
// both have a RecordedAt and that of p is earlier.
func (p Position) Newer(old Position) bool {
	return p.RecordedAt.IsZero() || old.RecordedAt.IsZero() || !p.RecordedAt.Before(old.RecordedAt)
}

func itoa(n int) string     { return strconv.Itoa(n) }
func ftoa(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
