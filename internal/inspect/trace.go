package inspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/session"
)

const (
	// flushInterval is the time between two batches of lines of a trace, and batchLines the
	// maximum number of lines of one. More are dropped and counted: 1,000 lines a second of each
	// replica are enough to read, and no load for Redis.
	flushInterval, batchLines = 200 * time.Millisecond, 200
	// renewInterval is the time between two signs of life of whoever reads a trace. Replicas end
	// a trace after renewTimeout without one.
	renewInterval, renewTimeout = 5 * time.Second, 16 * time.Second
	// maxTraced is the number of sockets in one trace on each replica.
	maxTraced = 1000
)

// A Line is one event of a socket that is traced. It contains no text.
type Line struct {
	At       time.Time      `json:"at"`
	Replica  string         `json:"replica"`
	Ref      string         `json:"ref,omitempty"`
	User     int64          `json:"user,omitempty"`
	Room     string         `json:"room,omitempty"`
	Endpoint string         `json:"endpoint,omitempty"`
	Event    string         `json:"event"` // as the log has it, for example Frame sent
	Fields   map[string]any `json:"fields,omitempty"`
}

// A traceQuery chooses the sockets of a trace.
type traceQuery struct {
	Filter Filter        `json:"filter"`
	For    time.Duration `json:"for,omitempty"`
}

// A TraceQuery is what [Inspector.Trace] takes.
type TraceQuery = traceQuery

// ParseTrace reads the parameters of a trace.
func ParseTrace(values url.Values) (q TraceQuery, err error) {
	p := parser{query: values}
	q.Filter, q.For = p.subject(), p.duration("for", time.Second, MaxTime)
	if q.For == 0 {
		q.For = DefaultTime
	}
	if f := &q.Filter; f.User == 0 && f.Room == (Room{}) && f.Ref == "" {
		p.fail("user", "say what to trace: give user, room or ref")
	}
	return q, p.finish()
}

// A batch is what a replica sends of a trace.
type batch struct {
	Replica string `json:"replica"`
	Started bool   `json:"started,omitempty"` // the first one, which has no lines
	Lines   []Line `json:"lines,omitempty"`
	Dropped int    `json:"dropped,omitempty"` // lines since the last batch
}

// A trace collects lines on this replica for whoever reads them.
type trace struct {
	id      uint64
	reader  event.ProcessID
	filter  Filter
	replica string

	mu      sync.Mutex // is taken with the locks of sessions, and takes no other one
	traced  map[string]session.Subject
	lines   []Line
	dropped int
	expires time.Time
}

// chooses reports whether a session is traced. It adds a line when it begins.
func (t *trace) chooses(s *session.Subject) bool {
	if !t.filter.about(s) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	known, traced := t.traced[s.Ref]
	if !traced && len(t.traced) >= maxTraced {
		t.dropped++
		return false
	}
	t.traced[s.Ref] = *s
	if !traced || known.Role != s.Role {
		dialect := dialects[0]
		if s.Classic {
			dialect = dialects[1]
		}
		t.addLocked(s, "Socket traced", []slog.Attr{slog.String("role", s.Role), slog.String("dialect", dialect)})
	}
	return true
}

// add adds a line of a socket, if it is traced.
func (t *trace) add(ref, msg string, attrs []slog.Attr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, traced := t.traced[ref]; traced {
		t.addLocked(&s, msg, attrs)
	}
}

func (t *trace) addLocked(s *session.Subject, msg string, attrs []slog.Attr) {
	if len(t.lines) >= batchLines {
		t.dropped++
		return
	}
	t.lines = append(t.lines, Line{
		At: time.Now().UTC(), Replica: t.replica, Ref: s.Ref, User: s.User, Room: roomOf(s.IDs).String(), Endpoint: s.Endpoint,
		Event: msg, Fields: fields(attrs),
	})
}

// fields returns the fields of a line. Durations are in milliseconds.
func fields(attrs []slog.Attr) map[string]any {
	all := make(map[string]any, len(attrs))
	for _, a := range attrs {
		switch a.Value.Kind() { //nolint:exhaustive // the others are what they are
		case slog.KindDuration:
			all[a.Key+"_ms"] = float64(a.Value.Duration().Microseconds()) / 1000
		case slog.KindInt64:
			all[a.Key] = a.Value.Int64()
		case slog.KindUint64:
			all[a.Key] = a.Value.Uint64()
		case slog.KindBool:
			all[a.Key] = a.Value.Bool()
		default:
			all[a.Key] = a.Value.String()
		}
	}
	return all
}

// take returns the lines since the last call, and whether the trace goes on.
func (t *trace) take(now time.Time) (b batch, goesOn bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b = batch{Replica: t.replica, Lines: t.lines, Dropped: t.dropped}
	t.lines, t.dropped = nil, 0
	return b, now.Before(t.expires)
}

// traceHere starts or renews a trace on this replica.
func (i *Inspector) traceHere(a traceQuery, reader event.ProcessID, q *event.Inquiry) (batch, error) {
	first := batch{Replica: i.o.Replica, Started: true}
	if f := &a.Filter; f.User == 0 && f.Room == (Room{}) && f.Ref == "" {
		return first, errors.New("this replica does not trace everything")
	}
	t := &trace{id: q.ID, reader: reader, filter: a.Filter, replica: i.o.Replica, traced: map[string]session.Subject{}, expires: time.Now().Add(renewTimeout)}
	renewed, err := i.rules.startTrace(t)
	if renewed || err != nil {
		return batch{Replica: i.o.Replica}, err
	}
	logging.Audit(i.o.Log, "Operator traces "+a.Filter.String(), slog.String("by", q.By))
	i.start(func() { i.sendLines(t) })
	return first, nil
}

// startTrace adds a trace, or renews it if there is one of its id.
func (s *rules) startTrace(t *trace) (renewed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.traces[t.id]; old != nil {
		if old.reader == t.reader {
			old.mu.Lock()
			old.expires = t.expires
			old.mu.Unlock()
		}
		return true, nil
	}
	if len(s.traces) >= maxTraces {
		return false, fmt.Errorf("%d traces run already", maxTraces)
	}
	s.traces[t.id] = t
	s.changedLocked()
	return false, nil
}

// endTrace ends a trace of a reader.
func (s *rules) endTrace(id uint64, reader event.ProcessID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.traces[id]; t != nil && t.reader == reader {
		delete(s.traces, id)
		s.changedLocked()
	}
}

// runs reports whether a trace has not ended.
func (s *rules) runs(t *trace) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.traces[t.id] == t
}

// sendLines sends the lines of a trace to its reader until the trace ends.
func (i *Inspector) sendLines(t *trace) {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	defer i.rules.endTrace(t.id, t.reader)
	for i.rules.runs(t) {
		select {
		case <-i.ctx.Done():
			return
		case now := <-tick.C:
			b, goesOn := t.take(now)
			if len(b.Lines) > 0 || b.Dropped > 0 {
				i.sendBatch(t, b)
			}
			if !goesOn {
				return // its reader has died
			}
		}
	}
}

func (i *Inspector) sendBatch(t *trace, b batch) {
	r := report{Replica: i.o.Replica, Data: marshal(b)}
	if t.reader == i.fleet.ID() {
		i.pass(t.id, received{t.reader, pack(r)})
		return
	}
	i.publish(event.Finding{To: t.reader, Inquiry: t.id, Body: pack(r)}, nil)
}

// watch applies the levels and the traces to the logger and the sockets of this replica.
func (i *Inspector) watch(levels []Rule, traces []*trace) {
	if len(levels) == 0 && len(traces) == 0 {
		i.o.Levels.Raise(noLevel)
		i.o.Sockets.Watch(nil)
		i.o.Levels.Trace(nil)
		return
	}
	raise := noLevel
	for _, r := range levels {
		if len(r.Filter.Query()) == 0 {
			raise = min(raise, levelOf(r.Level))
		}
	}
	i.o.Levels.Raise(raise)
	i.o.Levels.Trace(func(ref, _, msg string, attrs []slog.Attr) {
		for _, t := range traces {
			t.add(ref, msg, attrs)
		}
	})
	i.o.Sockets.Watch(func(s session.Subject) (w logging.Watch) {
		for _, r := range levels {
			switch {
			case !r.Filter.about(&s):
			case r.Level == "debug":
				w |= logging.WatchDebug
			default:
				w |= logging.WatchInfo
			}
		}
		for _, t := range traces {
			if t.chooses(&s) {
				w |= logging.WatchTrace
			}
		}
		return w
	})
}

// Trace passes the lines of the sockets that a query chooses on to emit, from all replicas,
// until ctx ends, its time is over, or emit returns an error. Lines that emit is too slow for
// are dropped and counted.
func (i *Inspector) Trace(ctx context.Context, a TraceQuery, by string, emit func([]Line) error) error {
	select {
	case i.asking <- struct{}{}:
		defer func() { <-i.asking }()
	default:
		return ErrBusy
	}
	r := reading{inspector: i, inquiry: newInquiry(traceLines, by, a), query: a, emit: emit, replied: map[string]bool{}}
	return r.run(ctx)
}
