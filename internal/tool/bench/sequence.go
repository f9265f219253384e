package bench

// A stream is what one socket has seen of one sender, whose messages are numbered
// from 0. It is pure.
type stream struct {
	next      int64 // the lowest number above all that were seen
	missing   map[int64]struct{}
	repeated  int64
	reordered int64
}

// see takes a message in, and reports whether it is there for the first time.
func (s *stream) see(n int64) bool {
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
	if _, late := s.missing[n]; late {
		delete(s.missing, n)
		s.reordered++
		return true
	}
	s.repeated++
	return false
}

// saw reports whether a message was seen.
func (s *stream) saw(n int64) bool {
	_, missing := s.missing[n]
	return n < s.next && !missing
}

// unseen calls f with each number below sent that was not seen.
func (s *stream) unseen(sent int64, f func(n int64)) {
	for n := range s.missing {
		f(n)
	}
	for n := s.next; n < sent; n++ {
		f(n)
	}
}
