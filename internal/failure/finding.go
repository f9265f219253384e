package failure

import (
	"fmt"
	"time"
)

// What the server may fail at without a finding.
const (
	tolerable      = 3    // failures of one cause, less than that
	tolerableShare = 1000 // attempts for each failure
)

// A finding says that the server fails at something too often.
type finding struct{ cause, text string }

func (f *finding) Error() string { return f.text }

// Cause returns the word of package cause.
func (f *finding) Cause() string { return f.cause }

// Findings returns what the server has failed at in the last ten minutes more than twice, or at
// more than 0.1 % of the attempts. It is empty if only clients have failed.
func (l *Log) Findings() []error { return l.findings(time.Now()) }

func (l *Log) findings(now time.Time) (all []error) {
	for _, s := range l.recent(now) {
		if s.Side == Server && (s.Count >= tolerable || int64(s.Count)*tolerableShare > s.Of) {
			all = append(all, &finding{s.Cause, s.text(now)})
		}
	}
	return all
}

func (s *Summary) text(now time.Time) string {
	name := s.Kind
	for _, n := range names {
		if n[0] == s.Kind {
			name = n[1]
		}
	}
	return fmt.Sprintf("%d of %d %s failed in the last %v, the last one %v ago: %s",
		s.Count, s.Of, name, Window, max(0, now.Sub(s.Last)).Round(time.Second), s.Text)
}
