package inspect

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// noLevel is a level that no line has.
const noLevel slog.Level = math.MaxInt

// A reading is a trace on the side of the replica whose operator reads it.
type reading struct {
	inspector *Inspector
	inquiry   event.Inquiry
	query     TraceQuery
	emit      func([]Line) error

	replied map[string]bool // replicas that take part: whether they have replied since the last renewal
	dropped int
	problem map[string]string // why a replica does not take part
}

// run reads until the trace ends.
func (r *reading) run(ctx context.Context) error {
	i := r.inspector
	ctx, cancel := context.WithTimeout(ctx, r.query.For)
	defer cancel()
	r.problem = map[string]string{}
	for _, m := range i.expected("") {
		r.problem[m.Replica] = "no answer within " + answerTimeout.String()
	}
	findings, forget := i.await(r.inquiry.ID, 256)
	defer forget()
	defer func() {
		i.rules.endTrace(r.inquiry.ID, i.fleet.ID())
		i.publish(event.Inquiry{ID: r.inquiry.ID, What: endTrace}, nil)
	}()
	if err := r.renew(); err != nil {
		return err
	}
	begun, renewal := time.NewTimer(answerTimeout), time.NewTicker(renewInterval)
	defer begun.Stop()
	defer renewal.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			why := "its time is over"
			if context.Cause(ctx) != context.DeadlineExceeded { //nolint:errorlint // as context returns it
				why = "the reader has left, or the replica stops"
			}
			return r.emit([]Line{r.note("Trace ended", map[string]any{"because": why, "lines_dropped": r.dropped})})
		case <-i.ctx.Done():
			return nil
		case <-begun.C:
			err = r.emit([]Line{r.note("Trace started", map[string]any{
				"replicas": slices.Sorted(maps.Keys(r.replied)), "missing": r.problem, "filter": r.query.Filter.String(), "for": r.query.For.String(),
			})})
		case f := <-findings:
			err = r.take(f)
		case <-renewal.C:
			if err = r.nameSilent(); err == nil {
				err = r.renew()
			}
		}
		if err != nil {
			return err
		}
	}
}

// renew starts the trace on all replicas, or keeps it alive.
func (r *reading) renew() error {
	i := r.inspector
	i.publish(r.inquiry, nil)
	b, err := i.traceHere(r.query, i.fleet.ID(), &r.inquiry)
	if err == nil {
		r.replied[b.Replica] = true
	}
	return err
}

// take passes the lines of one replica on.
func (r *reading) take(f received) error {
	var rep report
	var b batch
	err := unpack(f.body, &rep)
	if err == nil && rep.Error == "" {
		err = unmarshal(rep.Data, &b)
	}
	if err != nil || rep.Error != "" { // nothing to pass on
		if rep.Error != "" {
			r.problem[rep.Replica] = rep.Error
		}
		return nil //nolint:nilerr // the other replicas' lines count
	}
	_, known := r.replied[rep.Replica]
	r.replied[rep.Replica] = true
	delete(r.problem, rep.Replica)
	lines := b.Lines
	if b.Started && !known && len(r.replied) > 1 {
		lines = append(lines, Line{At: time.Now().UTC(), Replica: rep.Replica, Event: "Replica takes part"})
	}
	if b.Dropped > 0 {
		r.dropped += b.Dropped
		lines = append(lines, Line{At: time.Now().UTC(), Replica: rep.Replica, Event: "Lines dropped", Fields: map[string]any{"lines": b.Dropped}})
	}
	if len(lines) == 0 {
		return nil
	}
	return r.emit(lines)
}

// nameSilent names the replicas that have not replied since the last renewal.
func (r *reading) nameSilent() error {
	var lines []Line
	for name, replied := range r.replied {
		if !replied {
			lines = append(lines, Line{At: time.Now().UTC(), Replica: name, Event: "Replica silent"})
			delete(r.replied, name)
			continue
		}
		r.replied[name] = false
	}
	if len(lines) == 0 {
		return nil
	}
	return r.emit(lines)
}

func (r *reading) note(msg string, fields map[string]any) Line {
	return Line{At: time.Now().UTC(), Replica: r.inspector.o.Replica, Event: msg, Fields: fields}
}
