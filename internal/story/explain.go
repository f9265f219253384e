package story

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
)

// ErrUnknown means that there is no story under a reference.
var ErrUnknown = errors.New("there is no story under this reference")

// UnknownHint tells an operator why there may be no story under a reference.
const UnknownHint = "Stories of successful handshakes and normal closes are not kept: search the log of the replicas for the reference. " +
	"Stories of failures are kept for a day; above 200 per second only some of them. " +
	"If Redis was down, only the replica that refused the connection has the story: ask the ops address of each (--ops). " +
	"Check that Redis, its database number and --redis-prefix are the right ones."

// An Explanation is a story with its cause, its cure and related failures.
type Explanation struct {
	Story    *Story       `json:"story"`
	Failed   *Step        `json:"failed_step,omitempty"`
	Advice   *cause.Entry `json:"advice,omitempty"`          // for the most specific cause
	Pattern  string       `json:"pattern,omitempty"`         // the 5th token_expired since 12:00: …
	SameUser []Failure    `json:"same_user,omitempty"`       // newest first, including this one
	Before   *Story       `json:"last_socket,omitempty"`     // the client's previous connection
	Missing  string       `json:"store_missing_as,omitzero"` // the error if the store was unavailable
}

// silent is the time without a byte below which a connection was in use when it was cut.
const silent = 4 * time.Second

// Explain reads the story of a reference from a store and explains it. It returns [ErrUnknown] if
// there is none.
func Explain(ctx context.Context, store Store, ref string) (*Explanation, error) {
	return explain(ctx, store, ref, nil, nil)
}

// explain also uses the parts and the failures that are in memory. failuresOf may be nil.
func explain(ctx context.Context, store Store, ref string, parts []*Story, failuresOf func(user int64) []Failure) (*Explanation, error) {
	kept, err := store.Find(ctx, ref)
	s := Merge(append(parts, kept...))
	switch {
	case s == nil && err != nil:
		return nil, fmt.Errorf("find the story of %s: %w", ref, err)
	case s == nil:
		return nil, ErrUnknown
	}
	t := &Explanation{Story: s, Failed: s.FailedStep()}
	why := s.Why()
	if a, ok := cause.Find(why); ok {
		t.Advice = &a
	} else if a, ok := cause.Find(s.Reason); ok {
		t.Advice = &a
	}
	if e := s.End; t.Advice != nil && t.Advice.Cause == "abnormal" && e != nil && e.Cut && e.Idle >= silent {
		t.Advice.Cure = fmt.Sprintf("It had been silent for about %s: test with roomspa diagnose URL --idle 90s whether something in between closes silent connections. ",
			e.Idle.Round(time.Second)) + t.Advice.Cure
	}
	if s.User != 0 {
		var failures []Failure
		if err == nil { // wait for an unavailable store only once
			failures, err = store.Failures(ctx, s.User)
		}
		if failuresOf != nil {
			failures = append(failures, failuresOf(s.User)...)
		}
		t.SameUser = cleanUp(failures)
		t.Pattern = describePattern(ref, why, t.SameUser)
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

// cleanUp sorts failures, newest first, and removes duplicates and those older than a day.
func cleanUp(failures []Failure) []Failure {
	slices.SortStableFunc(failures, func(a, b Failure) int { return b.At.Compare(a.At) })
	failures = slices.CompactFunc(failures, func(a, b Failure) bool { return a.Ref == b.Ref && a.Why == b.Why })
	return slices.DeleteFunc(failures, func(f Failure) bool { return time.Since(f.At) > Day })
}
