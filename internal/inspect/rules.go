package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/logging"
)

const (
	// DefaultTime is the time for which a level is raised, or lines are traced.
	DefaultTime = 10 * time.Minute
	// MaxTime is the longest such time.
	MaxTime = time.Hour
	// maxRules is the number of raised levels at the same time, and maxTraces that of traces.
	maxRules, maxTraces = 8, 4
)

// A Rule raises the log level of all replicas, for a user, a room, one socket or everything. It
// ends by itself.
type Rule struct {
	ID       string   `json:"id"`
	Level    string   `json:"level"` // debug or info
	Filter   Filter   `json:"filter"`
	By       string   `json:"by"`
	LeftMS   int64    `json:"left_ms"`
	Replicas []string `json:"replicas,omitempty"` // on which it applies; in answers to operators
}

// Rules are the raised log levels of all replicas.
type Rules struct {
	Fleet
	Rules []Rule `json:"rules"`
}

// ParseRule reads the parameters of an inquiry that raises the level.
func ParseRule(values url.Values) (r Rule, err error) {
	p := parser{query: values}
	r.Filter = Filter{}
	r.Level = cmp.Or(p.text("level", "debug", "info"), "debug")
	r.LeftMS = cmp.Or(p.duration("for", time.Second, MaxTime), DefaultTime).Milliseconds()
	all := p.text("all", "true", "false") == "true"
	r.Filter = p.subject()
	if !all && len(r.Filter.Query()) == 0 {
		p.fail("user", "say what to log: give user, room, ref or all=true")
	}
	if all && len(r.Filter.Query()) > 0 {
		p.fail("all", "cannot be combined with user, room, ref, endpoint or dialect")
	}
	return r, p.finish()
}

// ParseRuleID reads the id of a raised level to end: "" for all of them.
func ParseRuleID(values url.Values) (id string, err error) {
	p := parser{query: values}
	id = p.text("id")
	if all := p.text("all", "true", "false") == "true"; all == (id != "") {
		p.fail("id", "give the id of a raised level, or all=true")
	}
	return id, p.finish()
}

// ParseNothing makes sure that there are no parameters.
func ParseNothing(values url.Values) (struct{}, error) {
	p := parser{query: values}
	return struct{}{}, p.finish()
}

// subject reads the parameters of a filter that do not change while a socket is open.
func (p *parser) subject() Filter {
	q := url.Values{}
	for _, name := range []string{"user", "room", "ref", "endpoint", "dialect"} {
		p.known = append(p.known, name)
		if v := p.query[name]; v != nil {
			q[name] = v
		}
	}
	inner := parser{query: q}
	f := inner.filter()
	p.err = cmp.Or(p.err, inner.err)
	return f
}

// Rules returns the raised levels of all replicas.
func (i *Inspector) Rules(ctx context.Context, by string) (all Rules, err error) {
	answers, f, err := ask[[]Rule](ctx, i, aboutRules, by, "", nil)
	return merge(answers, f), err
}

// Raise raises the level of all replicas.
func (i *Inspector) Raise(ctx context.Context, r Rule, by string) (all Rules, err error) {
	r.ID, r.By = strconv.FormatUint(newID(), 16), by
	answers, f, err := ask[[]Rule](ctx, i, startRule, by, "", r)
	return merge(answers, f), err
}

// EndRule ends a raised level on all replicas, or all of them if the id is empty. It returns the
// levels that have ended.
func (i *Inspector) EndRule(ctx context.Context, id, by string) (all Rules, err error) {
	answers, f, err := ask[[]Rule](ctx, i, endRule, by, "", id)
	return merge(answers, f), err
}

// merge makes one list of the rules of all replicas.
func merge(answers []answer[[]Rule], f Fleet) Rules {
	all := Rules{Fleet: f, Rules: []Rule{}}
	for _, a := range answers {
		for _, r := range a.data {
			at := slices.IndexFunc(all.Rules, func(other Rule) bool { return other.ID == r.ID })
			if at < 0 {
				at, all.Rules = len(all.Rules), append(all.Rules, r)
			}
			all.Rules[at].Replicas = append(all.Rules[at].Replicas, a.replica)
		}
	}
	slices.SortFunc(all.Rules, func(a, b Rule) int { return cmp.Or(cmp.Compare(a.LeftMS, b.LeftMS), cmp.Compare(a.ID, b.ID)) })
	return all
}

// rules are the raised levels and the traces of this replica. Its methods may be called
// concurrently.
type rules struct {
	log     *slog.Logger
	changed func(levels []Rule, traces []*trace) // is called with the lock

	mu     sync.Mutex
	levels map[string]*raised
	traces map[uint64]*trace
}

type raised struct {
	Rule
	ends  time.Time
	timer *time.Timer
}

func newRules(log *slog.Logger, changed func([]Rule, []*trace)) *rules {
	return &rules{log: log, changed: changed, levels: map[string]*raised{}, traces: map[uint64]*trace{}}
}

// list returns the raised levels as of now.
func (s *rules) list(now time.Time) []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listLocked(now)
}

func (s *rules) listLocked(now time.Time) []Rule {
	list := make([]Rule, 0, len(s.levels))
	for _, r := range s.levels {
		r.LeftMS = max(0, r.ends.Sub(now).Milliseconds())
		list = append(list, r.Rule)
	}
	return list
}

func (s *rules) changedLocked() {
	traces := make([]*trace, 0, len(s.traces))
	for _, t := range s.traces {
		traces = append(traces, t)
	}
	s.changed(s.listLocked(time.Now()), traces)
}

// start raises a level until its time is over, and returns the rule. One that applies already
// stays as it is.
func (s *rules) start(r Rule) ([]Rule, error) {
	left := time.Duration(r.LeftMS) * time.Millisecond
	if left <= 0 || left > MaxTime || levelOf(r.Level) > slog.LevelInfo || r.ID == "" || len(r.ID) > 16 {
		return nil, errors.New("this replica cannot read the level or the time")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.levels[r.ID]; known {
		return []Rule{r}, nil
	}
	if len(s.levels) >= maxRules {
		return nil, fmt.Errorf("%d levels are raised already; end one with roomspa ctl log --end", maxRules)
	}
	r.Replicas = nil
	n := &raised{Rule: r, ends: time.Now().Add(left)}
	n.timer = time.AfterFunc(left, func() { s.over(r.ID) })
	s.levels[r.ID] = n
	logging.Audit(s.log, "Log level raised to "+r.Level+" for "+r.Filter.String(), slog.String("id", r.ID),
		slog.String("by", r.By), slog.Time("ends", n.ends.UTC().Truncate(time.Second)))
	s.changedLocked()
	return []Rule{r}, nil
}

// over ends a rule whose time is over.
func (s *rules) over(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.levels[id]; r != nil {
		s.endLocked(r, "its time is over")
	}
}

// endAs returns a function that ends rules for an operator, and returns them.
func (s *rules) endAs(by string) func(id string) ([]Rule, error) {
	return func(id string) ([]Rule, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		ended := []Rule{}
		for _, r := range s.levels {
			if id == "" || id == r.ID {
				ended = append(ended, r.Rule)
				s.endLocked(r, "ended by "+by)
			}
		}
		return ended, nil
	}
}

func (s *rules) endLocked(r *raised, why string) {
	r.timer.Stop()
	delete(s.levels, r.ID)
	s.changedLocked()
	logging.Audit(s.log, "Log level no longer raised for "+r.Filter.String()+": "+why, slog.String("id", r.ID), slog.String("by", r.By))
}

// stop ends everything without a word: the replica ends.
func (s *rules) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.levels {
		r.timer.Stop()
		delete(s.levels, id)
	}
	clear(s.traces)
	s.changedLocked()
}

// levelOf returns the level of a name, and the highest one for a name that is none.
func levelOf(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "info":
		return slog.LevelInfo
	}
	return slog.LevelError
}

// adopt requests that the rules of other replicas are adopted. It never blocks.
func (i *Inspector) adopt() {
	select {
	case i.adopting <- struct{}{}:
	default: // it is requested already
	}
}

const (
	// adoptTimeout is how long other replicas may take to send their rules. Nobody waits for it.
	adoptTimeout = 3 * time.Second
	// adoptAgain is the time after which they are asked once more, because one of them may have
	// been busy, or have missed a rule just as this replica has.
	adoptAgain = 10 * time.Second
)

// adoptRules adopts the rules of other replicas when that is requested, until ctx ends: this
// replica has started after a rule, or has missed one.
func (i *Inspector) adoptRules(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-i.adopting:
		}
		for wait := time.Second; !i.adoptOnce(ctx); wait = min(2*wait, 15*time.Second) {
			if !pause(ctx, wait) {
				return
			}
		}
		if !pause(ctx, adoptAgain) {
			return
		}
		i.adoptOnce(ctx)
	}
}

// pause returns after d, or false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// adoptOnce asks the other replicas for their rules. Those without any do not answer. It returns
// false if this replica does not hear itself, because then it does not hear the answers.
func (i *Inspector) adoptOnce(ctx context.Context) bool {
	q := event.Inquiry{ID: newID(), What: adoptedRules, By: i.o.Replica}
	findings, forget := i.await(q.ID, 64)
	defer forget()
	heard := make(chan struct{})
	i.mu.Lock()
	i.heard[q.ID] = heard
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		delete(i.heard, q.ID)
		i.mu.Unlock()
	}()
	i.publish(q, nil)
	ctx, cancel := context.WithTimeout(ctx, adoptTimeout)
	defer cancel()
	hears := false
	for {
		select {
		case <-heard:
			hears, heard = true, nil
		case f := <-findings:
			var r report
			var theirs []Rule
			if unpack(f.body, &r) == nil && unmarshal(r.Data, &theirs) == nil {
				for _, rule := range theirs {
					_, _ = i.rules.start(rule) // there may be too many
				}
			}
		case <-ctx.Done():
			return hears
		}
	}
}
