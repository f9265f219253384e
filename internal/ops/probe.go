package ops

import (
	"context"
	"sync"
	"time"
)

// A Check asks one dependency whether it can be used. Run returns what was seen,
// for example a version, and returns within a time-out of its own; its errors say
// what is wrong and hold no secrets.
type Check struct {
	Name string
	Run  func(ctx context.Context) (detail string, err error)
}

// A Finding is what a check has found.
type Finding struct {
	Name   string     `json:"name"`
	OK     bool       `json:"ok"`
	Since  *time.Time `json:"since,omitempty"` // of the trouble
	Detail string     `json:"detail,omitempty"`
	Error  string     `json:"error,omitempty"`
	TookMS float64    `json:"took_ms"`
}

// A Probe runs checks side by side, and remembers since when each one fails.
type Probe struct {
	checks []Check

	mu    sync.Mutex
	since map[string]time.Time
}

// NewProbe returns a probe of the given checks.
func NewProbe(checks ...Check) *Probe {
	return &Probe{checks: checks, since: map[string]time.Time{}}
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
			f := Finding{Name: c.Name, OK: err == nil, Detail: detail, TookMS: float64(time.Since(began).Microseconds()) / 1000}
			if err != nil {
				f.Error = err.Error()
			}
			f.Since = p.note(c.Name, err, began)
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

func (p *Probe) note(name string, err error, now time.Time) *time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		delete(p.since, name)
		return nil
	}
	since, known := p.since[name]
	if !known {
		since = now.UTC().Truncate(time.Millisecond)
		p.since[name] = since
	}
	return &since
}
