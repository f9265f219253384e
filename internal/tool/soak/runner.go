package soak

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/tool/judge"
)

const (
	progressInterval = 5 * time.Second
	// repairLimit bounds the repair of a fault.
	repairLimit = time.Minute
)

// A runner executes a plan.
type runner struct {
	deployment *deployment
	crowd      *crowd
	began      time.Time
	out        io.Writer

	mu      sync.Mutex
	locks   map[string]*sync.Mutex // by target
	current map[string]int         // number of current faults, by kind
	faults  []judge.Fault          // past faults
	failed  error
}

func newRunner(d *deployment, c *crowd, began time.Time, out io.Writer) *runner {
	return &runner{deployment: d, crowd: c, began: began, out: out, locks: map[string]*sync.Mutex{}, current: map[string]int{}}
}

// run lets the clients send and injects the faults of the plan, until the time is over or
// ctx ends. When it returns all faults are repaired. An error means that a fault could not
// be injected.
func (r *runner) run(ctx context.Context, o Options, plan plan) error {
	ctx, cancel := context.WithDeadline(ctx, r.began.Add(o.For))
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { r.crowd.sendAll(ctx) })
	all.Go(func() { r.printProgress(ctx, o.For) })
	slots := make(chan struct{}, maxConcurrent)
	for i := range plan {
		f := &plan[i]
		if !pause(ctx, time.Until(r.began.Add(f.start))) {
			break
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-slots }()
			if err := r.execute(ctx, f); err != nil {
				r.fail(fmt.Errorf("inject %s into %s: %w", f.kind, f.target(), err))
				cancel()
			}
		})
	}
	all.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *runner) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
	}
}

// execute injects a fault when its target has no other one, and records it.
func (r *runner) execute(ctx context.Context, f *fault) error {
	lock := r.targetLock(f.target())
	lock.Lock()
	defer lock.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	r.addCurrent(f.kind, 1)
	defer r.addCurrent(f.kind, -1)
	began := time.Now()
	err := r.inject(ctx, f)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, judge.Fault{
		Kind: string(f.kind), Target: f.target(), Began: began.UnixMicro(), Ended: time.Now().UnixMicro(),
		Rewinds: f.kind.rewinds(),
	})
	return err
}

func (r *runner) targetLock(target string) *sync.Mutex {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.locks[target] == nil {
		r.locks[target] = &sync.Mutex{}
	}
	return r.locks[target]
}

func (r *runner) addCurrent(k kind, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current[string(k)] += n; r.current[string(k)] == 0 {
		delete(r.current, string(k))
	}
}

// printProgress prints a line every few seconds until ctx ends.
func (r *runner) printProgress(ctx context.Context, length time.Duration) {
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var acknowledged, reconnects, connected int64
		for _, d := range r.crowd.devices {
			acknowledged += d.acknowledged.Load()
			reconnects += max(0, d.sockets.Load()-1)
			if d.connected.Load() {
				connected++
			}
		}
		r.mu.Lock()
		faults, current := len(r.faults), slices.Sorted(maps.Keys(r.current))
		r.mu.Unlock()
		now := "none"
		if len(current) > 0 {
			now = strings.Join(current, ", ")
		}
		printLine(r.out, "%v of %v: %d acknowledgements, %d reconnects, %d of %d connected, %d faults; current faults: %s",
			time.Since(r.began).Round(time.Second), length, acknowledged, reconnects, connected, len(r.crowd.devices), faults, now)
	}
}

// repairContext returns a context for the repair of a fault, which must not end with the
// run.
func repairContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), repairLimit)
}

// pause waits for d. It returns false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// writeFaults writes the past faults for the judge.
func (r *runner) writeFaults(dir string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return writeLines(filepath.Join(dir, judge.FaultsFile), func(write func(any) error) error {
		for _, f := range r.faults {
			if err := write(f); err != nil {
				return err
			}
		}
		return nil
	})
}
