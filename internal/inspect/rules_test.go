package inspect

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/session"
)

// A change is what rules have applied last.
type change struct {
	levels []Rule
	traces []*trace
}

// newTestRules returns rules, and a function that returns what they have applied last.
func newTestRules(log *bytes.Buffer) (*rules, func() change) {
	var last change
	r := newRules(logging.New(log, logging.Options{Format: "text", Level: "error"}), func(levels []Rule, traces []*trace) { last = change{levels, traces} })
	return r, func() change {
		r.mu.Lock()
		defer r.mu.Unlock()
		return last
	}
}

func TestARaisedLevelEndsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r, last := newTestRules(&log)
		if _, err := r.start(Rule{ID: "1", Level: "debug", Filter: Filter{User: 7}, By: "127.0.0.1:5 (ann)", LeftMS: 600_000}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.start(Rule{ID: "2", Level: "info", LeftMS: 1_200_000}); err != nil {
			t.Fatal(err)
		}
		if len(last().levels) != 2 {
			t.Fatalf("applied: %+v", last())
		}
		<-time.After(10*time.Minute - time.Millisecond)
		synctest.Wait()
		for _, rule := range r.list(time.Now()) {
			if rule.ID == "1" && rule.LeftMS != 1 {
				t.Errorf("left: %+v", rule)
			}
		}
		if len(last().levels) != 2 {
			t.Errorf("ended early: %+v", last())
		}
		<-time.After(time.Millisecond)
		synctest.Wait()
		if len(last().levels) != 1 || last().levels[0].ID != "2" {
			t.Errorf("not ended: %+v", last())
		}
		r.stop()
		if len(last().levels) != 0 {
			t.Errorf("not stopped: %+v", last())
		}
		for _, line := range []string{
			`[Audit] Log level raised to debug for user=7" replica="" id=1 by="127.0.0.1:5 (ann)" ends=2000-01-01T00:10:00.000Z`,
			`[Audit] Log level no longer raised for user=7: its time is over" replica="" id=1 by="127.0.0.1:5 (ann)"`,
			`[Audit] Log level raised to info for everything`,
		} {
			if !strings.Contains(log.String(), line) {
				t.Errorf("the log lacks %s:\n%s", line, &log)
			}
		}
	})
}

func TestLevelsAreBounded(t *testing.T) {
	t.Parallel()
	r, last := newTestRules(&bytes.Buffer{})
	defer r.stop()
	for name, rule := range map[string]Rule{
		"no time": {ID: "1", Level: "debug"}, "too long": {ID: "1", Level: "debug", LeftMS: MaxTime.Milliseconds() + 1}, "in the past": {ID: "1", Level: "debug", LeftMS: -1},
		"no level": {ID: "1", LeftMS: 1000}, "no id": {Level: "debug", LeftMS: 1000}, "a long id": {ID: strings.Repeat("1", 17), Level: "debug", LeftMS: 1000},
	} {
		if _, err := r.start(rule); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for n := range maxRules + 1 {
		_, err := r.start(Rule{ID: fmt.Sprint(n), Level: "debug", LeftMS: 60_000})
		if (err != nil) != (n == maxRules) {
			t.Errorf("rule %d: %v", n, err)
		}
	}
	if _, err := r.start(Rule{ID: "0", Level: "debug", LeftMS: 60_000}); err != nil || len(last().levels) != maxRules {
		t.Errorf("one that applies already: %v", err)
	}
	if ended, _ := r.endAs("ann")("3"); len(ended) != 1 || len(last().levels) != maxRules-1 {
		t.Errorf("ended: %+v", ended)
	}
	if ended, _ := r.endAs("ann")("3"); len(ended) != 0 {
		t.Errorf("ended twice: %+v", ended)
	}
}

func TestATraceDropsLinesAboveItsRateAndEndsWithoutAReader(t *testing.T) {
	t.Parallel()
	r, last := newTestRules(&bytes.Buffer{})
	now, reader := time.Now(), event.ProcessID{1}
	tr := &trace{id: 1, reader: reader, filter: Filter{User: 7}, replica: "a", traced: map[string]session.Subject{}, expires: now.Add(renewTimeout)}
	if _, err := r.startTrace(tr); err != nil || len(last().traces) != 1 {
		t.Fatal(err)
	}
	if s := (session.Subject{Ref: "other", User: 8}); tr.chooses(&s) {
		t.Error("another user is traced")
	}
	if s := (session.Subject{Ref: "own", User: 7, IDs: []int64{7, 8}}); !tr.chooses(&s) || !tr.chooses(&s) {
		t.Error("the user is not traced")
	}
	for range batchLines + 10 {
		tr.add("own", "Frame sent", nil)
	}
	tr.add("other", "Frame sent", nil)
	b, goesOn := tr.take(now.Add(renewTimeout - 1))
	if len(b.Lines) != batchLines || b.Dropped != 11 || !goesOn || b.Lines[0].Event != "Socket traced" || b.Lines[1].Room != "7/8" {
		t.Errorf("%d lines, %d dropped, %v: %+v", len(b.Lines), b.Dropped, goesOn, b.Lines[:2])
	}
	if b, goesOn := tr.take(now.Add(renewTimeout)); goesOn || len(b.Lines) > 0 || b.Dropped != 0 {
		t.Errorf("a trace without a reader goes on: %+v", b)
	}
	r.endTrace(1, event.ProcessID{2})
	if len(last().traces) != 1 {
		t.Error("another replica has ended the trace")
	}
	if r.endTrace(1, reader); len(last().traces) != 0 {
		t.Error("the trace has not ended")
	}
	for n := range maxTraces + 1 {
		if _, err := r.startTrace(&trace{id: uint64(n)}); (err != nil) != (n == maxTraces) {
			t.Errorf("trace %d: %v", n, err)
		}
	}
}

func TestRatesAreThoseSinceASampleOfBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		total := 100.0
		r := rates{read: func() (counters, error) { return counters{Rates: Rates{Messages: total}}, nil }}
		ask := func() Rates {
			_, perSecond, err := r.measure(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return perSecond
		}
		began := time.Now()
		if got := ask(); got.Messages != 0 || time.Since(began) != firstSpan {
			t.Errorf("first: %+v after %v", got, time.Since(began))
		}
		<-time.After(2*time.Second - firstSpan)
		total += 20
		if got := ask(); got.Messages != 10 {
			t.Errorf("20 messages in 2 s are %+v", got)
		}
		<-time.After(time.Minute)
		total += 1_000_000
		if got := ask(); got.Messages != 0 {
			t.Errorf("after a pause nobody knows when they came: %+v", got)
		}
		if len(r.samples) != 1 {
			t.Errorf("%d samples", len(r.samples))
		}
	})
}
