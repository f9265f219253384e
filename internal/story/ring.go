package story

import (
	"slices"
	"sync"
)

// A ring holds a fixed number of the newest stories.
type ring struct {
	mu    sync.Mutex
	all   []*Story
	next  int
	byRef map[string][]*Story
}

func newRing(size int) *ring {
	return &ring{all: make([]*Story, size), byRef: map[string][]*Story{}}
}

func (r *ring) add(s *Story) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.all[r.next]; old != nil {
		left := slices.DeleteFunc(r.byRef[old.Ref], func(s *Story) bool { return s == old })
		if r.byRef[old.Ref] = left; len(left) == 0 {
			delete(r.byRef, old.Ref)
		}
	}
	r.all[r.next] = s
	r.next = (r.next + 1) % len(r.all)
	r.byRef[s.Ref] = append(r.byRef[s.Ref], s)
}

// find returns the stories with the reference ref.
func (r *ring) find(ref string) []*Story {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.byRef[ref])
}

// failuresOf returns the failures of a user, newest first.
func (r *ring) failuresOf(user int64) (failures []Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.all {
		s := r.all[(r.next+len(r.all)-1-i)%len(r.all)]
		if s == nil {
			break
		}
		if f, ok := s.Failure(); ok && f.User == user {
			failures = append(failures, f)
		}
	}
	return failures
}
