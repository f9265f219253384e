package session

import (
	"log/slog"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
)

// A Subject is what a session is about.
type Subject struct {
	Ref, Endpoint string
	Classic       bool    // see [Kind]
	User          int64   // 0 if there is none, or none yet
	Role          string  // of the user; empty if it is not known
	IDs           []int64 // the users that the path names; read-only
}

// Watch chooses what is shown of each session, now and until the next call. choose is called
// for every session, and again for one whose user becomes known. It must not block, and must
// be safe for concurrent use. nil ends it.
func (r *Registry) Watch(choose func(Subject) logging.Watch) {
	if choose == nil {
		r.watch.Store(nil)
	} else {
		r.watch.Store(&choose)
	}
	for _, s := range r.all(nil) {
		s.chooseWatch()
	}
}

func (s *Session) chooseWatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chooseWatchLocked()
}

// chooseWatchLocked asks the current choice. The lock makes the latest choice win.
func (s *Session) chooseWatchLocked() {
	var w logging.Watch
	if s.log.Log.Enabled(s.registry.ctx, slog.LevelDebug) {
		w = logging.WatchDebug
	}
	if choose := s.registry.watch.Load(); choose != nil {
		w |= (*choose)(s.subjectLocked())
	}
	s.log.SetWatch(w)
}

func (s *Session) subjectLocked() Subject {
	return Subject{Ref: s.log.Ref, Endpoint: s.endpoint.name, Classic: s.endpoint.classic, User: s.user, Role: s.role, IDs: s.ids}
}

// showFrame logs the outline of a frame.
func (s *Session) showFrame(event string, m frame.Message) {
	o := frame.Outlined(m)
	attrs := []slog.Attr{slog.String("type", o.Type), slog.Int("bytes", len(m.Data))}
	if seq := max(o.Seq, m.Seq); seq > 0 {
		attrs = append(attrs, slog.Int64("seq", seq))
	}
	if o.Code != "" {
		attrs = append(attrs, slog.String("code", o.Code))
	}
	s.log.Debug(s.endpoint.component, event, attrs...)
}

// showTime logs how long something took.
func (s *Session) showTime(event string, began time.Time) {
	s.log.Debug(s.endpoint.component, event, slog.Duration("took", time.Since(began)))
}
