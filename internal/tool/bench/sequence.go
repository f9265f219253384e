package bench

// A sequence records which messages of one sender a socket has received. The
// messages of a sender are numbered from 0.
type sequence struct {
	next      int64 // one more than the highest number received
	missing   map[int64]struct{}
	repeated  int64
	reordered int64
}

// add records message n. It reports whether n was received for the first time.
func (s *sequence) add(n int64) bool {
	switch {
	case n == s.next:
		s.next++
		return true
	case n > s.next:
		if s.missing == nil {
			s.missing = map[int64]struct{}{}
		}
		for i := s.next; i < n; i++ {
			s.missing[i] = struct{}{}
		}
		s.next = n + 1
		return true
	}
	if _, missing := s.missing[n]; missing {
		delete(s.missing, n)
		s.reordered++
		return true
	}
	s.repeated++
	return false
}

// contains reports whether message n was received.
func (s *sequence) contains(n int64) bool {
	_, missing := s.missing[n]
	return n < s.next && !missing
}

// eachMissing calls f with each number below sent that was not received.
func (s *sequence) eachMissing(sent int64, f func(n int64)) {
	for n := range s.missing {
		f(n)
	}
	for n := s.next; n < sent; n++ {
		f(n)
	}
}
