package ops

import (
	"github.com/roomspa/roomspa/internal/cause"

	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/logging"
)

// watchEvery is how often a probe looks by itself, whether or not somebody asks.
const watchEvery = 5 * time.Second

// A Check asks one dependency whether it can be used. Run returns what was seen,
// for example a version, and returns within a time-out of its own; its errors say
// what is wrong and hold no secrets.
type Check struct {
	Name    string
	Address string // of what is asked, without secrets; empty if it has none
	Run     func(ctx context.Context) (detail string, err error)
	// Advise says what to do about an error of Run whose cause has no advice of its own;
	// nil, or "", where nobody knows.
	Advise func(error) string
	// Doubt says what is wrong though the dependency can be used; nil if nothing can be.
	// It is asked where Run is content.
	Doubt func(ctx context.Context) error
}

// A Finding is what a check has found.
type Finding struct {
	Name    string     `json:"name"`
	OK      bool       `json:"ok"`
	Since   *time.Time `json:"since,omitempty"` // of the trouble
	Address string     `json:"address,omitempty"`
	Detail  string     `json:"detail,omitempty"`
	Error   string     `json:"error,omitempty"`
	Warning string     `json:"warning,omitempty"` // what is wrong though it can be used
	Cause   string     `json:"cause,omitempty"`   // the word for the error or the warning
	Advice  string     `json:"advice,omitempty"`  // what to do about it
	TookMS  float64    `json:"took_ms"`
}

// A Probe runs checks side by side, and remembers since when each one fails. It
// logs when that changes, and only then.
type Probe struct {
	checks []Check
	log    *slog.Logger
	well   *prometheus.GaugeVec

	mu    sync.Mutex
	since map[string]time.Time
	known map[string]bool // was looked at before
}

// NewProbe returns a probe of the given checks.
func NewProbe(log *slog.Logger, reg prometheus.Registerer, checks ...Check) *Probe {
	return &Probe{
		checks: checks, log: log, since: map[string]time.Time{}, known: map[string]bool{},
		well: promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{
			Name: "roomspa_dependency_up",
			Help: "1 where a dependency can be used, 0 where it cannot, by the check of /readyz.",
		}, []string{"check"}),
	}
}

// Watch runs the checks every few seconds until ctx ends, so that the log tells
// of an outage also where nobody asks /readyz.
func (p *Probe) Watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select { // not at once: what connects in the background needs a moment
		case <-ctx.Done():
			return
		case <-tick.C:
			p.Run(ctx)
		}
	}
}

// Run runs all checks at once and returns their findings in their order, and
// whether all are well.
func (p *Probe) Run(ctx context.Context) (findings []Finding, ok bool) {
	findings = make([]Finding, len(p.checks))
	var wg sync.WaitGroup
	for i, c := range p.checks {
		wg.Go(func() {
			began := time.Now()
			detail, err := c.Run(ctx)
			f := Finding{
				Name: c.Name, OK: err == nil, Address: c.Address, Detail: detail,
				TookMS: float64(time.Since(began).Microseconds()) / 1000,
			}
			if err != nil {
				f.Error = err.Error()
				f.because(err, c.Advise)
			} else if c.Doubt != nil {
				if doubt := c.Doubt(ctx); doubt != nil {
					f.Warning = doubt.Error()
					f.because(doubt, c.Advise)
				}
			}
			f.Since = p.note(ctx, c.Name, err, began)
			findings[i] = f
		})
	}
	wg.Wait()
	ok = true
	for _, f := range findings {
		ok = ok && f.OK
	}
	return findings, ok
}

// Well reports whether every check was well when it was last looked at. It asks
// nobody.
func (p *Probe) Well() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.since) == 0 && len(p.known) == len(p.checks)
}

// because says why, and what to do.
func (f *Finding) because(err error, advise func(error) string) {
	f.Cause = cause.Of(err)
	f.Advice = cause.Cure(f.Cause)
	if f.Advice == "" && advise != nil {
		f.Advice = advise(err)
	}
}

// note remembers a result, says so if it is news, and returns since when the
// check fails.
func (p *Probe) note(ctx context.Context, name string, err error, now time.Time) *time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	since, failing := p.since[name]
	switch first := !p.known[name]; {
	case ctx.Err() != nil: // whoever asked has gone: that says nothing about the dependency
	case err == nil:
		delete(p.since, name)
		p.well.WithLabelValues(name).Set(1)
		if failing || first {
			logging.Component(p.log, slog.LevelInfo, "Readiness", name+" is well")
		}
	case !failing:
		since = now.UTC().Truncate(time.Millisecond)
		p.since[name] = since
		p.well.WithLabelValues(name).Set(0)
		logging.Component(p.log, slog.LevelError, "Readiness", name+" cannot be used: "+err.Error(), because(err)...)
	}
	p.known[name] = true
	if err == nil {
		return nil
	}
	return &since
}

// because is the field of a line that names the cause, where there is one.
func because(err error) []slog.Attr {
	if cause := cause.Of(err); cause != "" {
		return []slog.Attr{slog.String("cause", cause)}
	}
	return nil
}
