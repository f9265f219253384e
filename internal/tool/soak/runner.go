package soak

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/tool/judge"
)

// sayEvery is the time between two lines of progress.
const sayEvery = 5 * time.Second

// mendLimit bounds how long it may take to mend what a fault broke.
const mendLimit = time.Minute

// A director carries out a plan.
type director struct {
	stage *stage
	crowd *crowd
	began time.Time
	out   io.Writer

	mu     sync.Mutex
	locks  map[string]*sync.Mutex // by target
	going  map[string]int         // kinds at work
	faults []judge.Fault
	failed error
}

// direct lets the crowd talk and breaks what the plan says, until the run's time
// is over or ctx ends. All faults are over when it returns. An error says that a
// fault could not be carried out, and so nothing is proven.
func (d *director) direct(ctx context.Context, o Options, plan plan) error {
	d.locks, d.going = map[string]*sync.Mutex{}, map[string]int{}
	ctx, cancel := context.WithDeadline(ctx, d.began.Add(o.For))
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { d.crowd.talk(ctx) })
	all.Go(func() { d.progress(ctx, o.For) })
	turns := make(chan struct{}, atOnce)
	for i := range plan {
		f := &plan[i]
		if !pause(ctx, time.Until(d.began.Add(f.at))) {
			break
		}
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-turns }()
			if err := d.carryOut(ctx, f); err != nil {
				d.fail(fmt.Errorf("%s of %s: %w", f.kind, f.target(), err))
				cancel()
			}
		})
	}
	all.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

func (d *director) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		d.failed = err
	}
}

// carryOut breaks, waits and mends, when no other fault is at the same thing.
func (d *director) carryOut(ctx context.Context, f *fault) error {
	lock := d.lock(f.target())
	lock.Lock()
	defer lock.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	d.enter(f.kind, 1)
	defer d.enter(f.kind, -1)
	began := time.Now()
	err := d.act(ctx, f)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, judge.Fault{
		Kind: string(f.kind), Target: f.target(), Began: began.UnixMicro(), Ended: time.Now().UnixMicro(),
	})
	return err
}

func (d *director) lock(target string) *sync.Mutex {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locks[target] == nil {
		d.locks[target] = &sync.Mutex{}
	}
	return d.locks[target]
}

func (d *director) enter(k kind, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.going[string(k)] += n; d.going[string(k)] == 0 {
		delete(d.going, string(k))
	}
}

// mending is a context for undoing a fault, also when the run is over.
func mending(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), mendLimit)
}

// pause waits; it reports false when ctx ended first.
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

// record writes which faults there were.
func (d *director) record(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return writeLines(filepath.Join(dir, judge.FaultsFile), func(write func(any) error) error {
		for _, f := range d.faults {
			if err := write(f); err != nil {
				return err
			}
		}
		return nil
	})
}
