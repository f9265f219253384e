// Package story tells what happened to one handshake: its steps in order, each
// with its outcome, its detail and the time it took, under one reference.
package story

import (
	"crypto/rand"
	"time"
)

// The alphabet of references has no i, l, o and u, so that one can be read out
// over a telephone (Crockford's base 32).
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// NewRef returns a reference: 16 characters, 80 bits from a cryptographic source.
func NewRef() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, since Go 1.24)
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b[:])
}

// A Step is one thing that a handshake had to get through.
type Step struct {
	Name string
	Took time.Duration
	Err  error // nil where it went well
}

// A Story is the steps of one handshake. It is not safe for concurrent use.
type Story struct {
	Ref   string
	Began time.Time
	Steps []Step
}

// Begin starts the story of a handshake.
func Begin(ref string) *Story {
	return &Story{Ref: ref, Began: time.Now(), Steps: make([]Step, 0, 8)}
}

// Do runs a step and writes down how it went.
func (s *Story) Do(name string, run func() error) error {
	began := time.Now()
	err := run()
	s.Steps = append(s.Steps, Step{Name: name, Took: time.Since(began), Err: err})
	return err
}

// Last returns the step that the story has come to.
func (s *Story) Last() Step {
	if len(s.Steps) == 0 {
		return Step{Name: "received"}
	}
	return s.Steps[len(s.Steps)-1]
}
