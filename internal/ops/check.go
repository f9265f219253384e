package ops

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/logging"
)

// checkEvery is the time between two rounds of checks, whether or not anybody asks.
const checkEvery = 5 * time.Second

// A Check tests one dependency.
type Check struct {
	Name    string
	Address string // of the dependency, without secrets; empty if it has none
	// Run returns what it has seen, such as a version, or why the dependency cannot be
	// used. It returns within a timeout of its own. Its errors contain no secrets.
	Run func(ctx context.Context) (detail string, err error)
	// Warn returns a problem that does not keep the replica from being ready. It is
	// called after Run has succeeded. Nil if there is no such problem.
	Warn func(ctx context.Context) error
	// Advise returns what to do about an error whose cause is not in the table of
	// package cause, or "". Nil if there is no advice.
	Advise func(error) string
}

// A Result is the outcome of one check.
type Result struct {
	Name    string     `json:"name"`
	OK      bool       `json:"ok"`
	Since   *time.Time `json:"since,omitempty"` // when the check began to fail
	Address string     `json:"address,omitempty"`
	Detail  string     `json:"detail,omitempty"`
	Error   string     `json:"error,omitempty"`
	Warning string     `json:"warning,omitempty"` // a problem although the check passed
	Cause   string     `json:"cause,omitempty"`   // word for the error or the warning
	Advice  string     `json:"advice,omitempty"`  // what to do about it
	TookMS  float64    `json:"took_ms"`
}

// A Monitor runs checks and remembers since when each of them fails. It logs when a
// check begins to fail or passes again. It is safe for concurrent use.
type Monitor struct {
	checks []Check
	log    *slog.Logger
	up     *prometheus.GaugeVec

	mu      sync.Mutex
	failing map[string]time.Time // since when, by the name of the check
	causes  map[string]string    // of those that fail
	known   map[string]bool      // checks that have run
}

// NewMonitor returns a monitor of the given checks. None of them runs yet.
func NewMonitor(log *slog.Logger, reg prometheus.Registerer, checks ...Check) *Monitor {
	return &Monitor{
		checks: checks, log: log, failing: map[string]time.Time{}, causes: map[string]string{}, known: map[string]bool{},
		up: promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{
			Name: "roomspa_dependency_up",
			Help: "Whether a check of /readyz passes (1) or fails (0), by check.",
		}, []string{"check"}),
	}
}

// Run checks every 5 s until ctx ends, so that the log and the metrics show an outage
// even if nobody asks /readyz.
func (m *Monitor) Run(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select { // not at once: connections are still being made
		case <-ctx.Done():
			return
		case <-tick.C:
			m.Check(ctx)
		}
	}
}

// Check runs all checks side by side. It returns their results in order, and whether
// all of them have passed.
func (m *Monitor) Check(ctx context.Context) (results []Result, ok bool) {
	results = make([]Result, len(m.checks))
	var wg sync.WaitGroup
	for i, c := range m.checks {
		wg.Go(func() { results[i] = m.run(ctx, c) })
	}
	wg.Wait()
	ok = true
	for _, r := range results {
		ok = ok && r.OK
	}
	return results, ok
}

func (m *Monitor) run(ctx context.Context, c Check) Result {
	began := time.Now()
	detail, err := c.Run(ctx)
	r := Result{
		Name: c.Name, OK: err == nil, Address: c.Address, Detail: detail,
		TookMS: float64(time.Since(began).Microseconds()) / 1000,
	}
	problem := err
	switch {
	case err != nil:
		r.Error = err.Error()
	case c.Warn != nil:
		if problem = c.Warn(ctx); problem != nil {
			r.Warning = problem.Error()
		}
	}
	if problem != nil {
		r.Cause = cause.Of(problem)
		r.Advice = cause.Cure(r.Cause)
		if r.Advice == "" && c.Advise != nil {
			r.Advice = c.Advise(problem)
		}
	}
	r.Since = m.record(ctx, c.Name, err, began)
	return r
}

// Healthy reports whether every check passed when it last ran. It runs none.
func (m *Monitor) Healthy() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.failing) == 0 && len(m.known) == len(m.checks)
}

// NotReady returns the cause of the first check that failed when it last ran, or the name of the
// check if no cause is known. It returns "" if all have passed, or none has run. It runs none.
func (m *Monitor) NotReady() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.checks {
		if _, failing := m.failing[c.Name]; failing {
			return cmp.Or(m.causes[c.Name], c.Name)
		}
	}
	return ""
}

// record remembers and logs the outcome of a check. It returns since when the check
// fails, nil if it passes.
func (m *Monitor) record(ctx context.Context, name string, err error, now time.Time) *time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	since, failing := m.failing[name]
	switch first := !m.known[name]; {
	case ctx.Err() != nil: // the caller has gone, which says nothing about the dependency
	case err == nil:
		delete(m.failing, name)
		m.up.WithLabelValues(name).Set(1)
		if failing || first {
			logging.Component(m.log, slog.LevelInfo, "Readiness", "Check passed: "+name)
		}
	case !failing:
		since = now.UTC().Truncate(time.Millisecond)
		m.failing[name] = since
		m.up.WithLabelValues(name).Set(0)
		var attrs []slog.Attr
		if word := cause.Of(err); word != "" {
			attrs = append(attrs, slog.String("cause", word))
		}
		logging.Component(m.log, slog.LevelError, "Readiness", "Check failed: "+name+": "+err.Error(), attrs...)
	}
	m.known[name] = true
	if err == nil {
		return nil
	}
	m.causes[name] = cause.Of(err)
	return &since
}
