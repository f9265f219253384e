package story

import (
	"github.com/roomspa/roomspa/internal/cause"

	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrUnknown is the error of a reference under which nothing is known.
var ErrUnknown = errors.New("there is no story under that reference")

// Unknown says why nothing may be known under a reference, for an operator.
const Unknown = "Stories of good handshakes and ordinary ends are not kept: look for the reference in the log of the replicas. " +
	"Those of failures are kept for a day, and above 200 a second not all of them. " +
	"Where Redis was away, only the replica that refused knows: ask the ops address of each (--ops). " +
	"Is it the right Redis, database and --redis-prefix?"

// Told is a story with what is to be made of it.
type Told struct {
	Story    *Story       `json:"story"`
	Failed   *Step        `json:"failed_step,omitempty"`
	Advice   *cause.Entry `json:"advice,omitempty"`          // for the most exact cause there is
	Pattern  string       `json:"pattern,omitempty"`         // the 5th token_expired since 12:00: …
	SameUser []Failure    `json:"same_user,omitempty"`       // newest first, this one included
	Before   *Story       `json:"last_socket,omitempty"`     // of the same client, where it said which
	Missing  string       `json:"store_missing_as,omitzero"` // why the store could not be asked
}

// Tell tells what a store knows under a reference; [ErrUnknown] where that is nothing.
func Tell(ctx context.Context, store Store, ref string) (*Told, error) {
	return tell(ctx, store, ref, nil, nil)
}

func tell(ctx context.Context, store Store, ref string, parts []*Story, of func(int64) []Failure) (*Told, error) {
	kept, err := store.Find(ctx, ref)
	s := Merge(append(parts, kept...))
	switch {
	case s == nil && err != nil:
		return nil, fmt.Errorf("look for %s: %w", ref, err)
	case s == nil:
		return nil, ErrUnknown
	}
	t := &Told{Story: s, Failed: s.FailedStep()}
	why := s.Why()
	if a, ok := cause.Find(why); ok {
		t.Advice = &a
	} else if a, ok := cause.Find(s.Reason); ok {
		t.Advice = &a
	}
	if s.User != 0 {
		var failures []Failure
		if err == nil { // a store that is away is waited for once
			failures, err = store.Failures(ctx, s.User)
		}
		if of != nil {
			failures = append(failures, of(s.User)...)
		}
		t.SameUser = tidy(failures)
		t.Pattern = pattern(ref, why, t.SameUser)
	}
	if s.LastRef != "" && s.LastRef != ref && err == nil {
		var before []*Story
		before, err = store.Find(ctx, s.LastRef)
		t.Before = Merge(before)
	}
	if err != nil {
		t.Missing = err.Error()
	}
	return t, nil
}

// tidy sorts failures, newest first, and leaves out what is there twice or too old.
func tidy(failures []Failure) []Failure {
	slices.SortStableFunc(failures, func(a, b Failure) int { return b.At.Compare(a.At) })
	failures = slices.CompactFunc(failures, func(a, b Failure) bool { return a.Ref == b.Ref && a.Why == b.Why })
	return slices.DeleteFunc(failures, func(f Failure) bool { return time.Since(f.At) > Day })
}
