package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// slowMS is the duration of an attempt that is not repeated often.
const slowMS = 700

// stagger is how long a repeated attempt waits for the one before it.
const stagger = 100 * time.Millisecond

// repeat makes n attempts, each after the one before it or after a short wait, with at most width
// at once. It stops early if try returns false. If not all may be under way at once, it also stops
// when two have timed out or three were slow: it must not add to the load of a system that is slow.
func repeat(ctx context.Context, n, width int, try func(i int) (a Attempt, more bool)) []Attempt {
	all := make([]Attempt, n)
	slots := make(chan struct{}, width)
	var wg sync.WaitGroup
	var stop atomic.Bool
	var timeouts, slow atomic.Int32
	begun := 0
	for i := range n {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || stop.Load() || width < n && (timeouts.Load() >= 2 || slow.Load() >= 3) {
			break
		}
		begun++
		done := make(chan struct{})
		wg.Go(func() {
			defer func() { <-slots; close(done) }()
			a, more := try(i)
			if all[i] = a; a.Error == "timeout" {
				timeouts.Add(1)
			}
			if max(a.MS, a.TotalMS) > slowMS {
				slow.Add(1)
			}
			if !more {
				stop.Store(true)
			}
		})
		timer := time.NewTimer(stagger)
		select {
		case <-done:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	wg.Wait()
	return all[:begun]
}

// shares sums up repeated attempts: how many are well, who answered them, and the median of their
// duration.
func shares(all []Attempt) (ok int, by string, took time.Duration) {
	var names []string
	counts := map[string]int{}
	var ms []float64
	for _, a := range all {
		if !a.OK {
			continue
		}
		ok++
		ms = append(ms, max(a.MS, a.TotalMS))
		if a.Replica != "" {
			if counts[a.Replica]++; counts[a.Replica] == 1 {
				names = append(names, a.Replica)
			}
		}
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d)", name, counts[name])
	}
	return ok, strings.Join(names, ", "), time.Duration(median(ms) * float64(time.Millisecond))
}

func failures(all []Attempt) (failed []*Attempt) {
	for i := range all {
		if !all[i].OK {
			failed = append(failed, &all[i])
		}
	}
	return failed
}

// firstFailure returns the attempt that failed first.
func firstFailure(all []Attempt) Attempt {
	at := slices.IndexFunc(all, func(a Attempt) bool { return !a.OK })
	if at < 0 {
		return Attempt{}
	}
	return all[at]
}

// summary is the result of a step of repeated attempts.
func summary(all []Attempt, what string, limit time.Duration) result {
	ok, by, took := shares(all)
	if by != "" {
		by = " from replica " + by
	}
	if ok == len(all) {
		r := passed("%d of %d %s%s, median %s", ok, len(all), what, by, durationText(took))
		r.median, r.limit = took, limit
		return r
	}
	a := firstFailure(all)
	text := a.request() + ": " + a.result()
	if a.Ref != "" {
		text += " (ref " + a.Ref + ")"
	}
	if len(all) > 1 {
		text = fmt.Sprintf("%d of %d failed; %s", len(all)-ok, len(all), text)
		if ok > 0 {
			text += fmt.Sprintf("; %d succeeded%s", ok, by)
		}
	}
	return failed("%s", text)
}
