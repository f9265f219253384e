package diagnose

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// A walk is one diagnosis under way.
type walk struct {
	Options
	target *url.URL // of the socket: ws or wss, without the token
	base   string   // URL of the server: http or https, without a trailing slash
	room   string   // path below /ws/<endpoint>/; empty if no room is diagnosed
	watch  Watcher
	caller context.Context //nolint:containedctx // tells an interruption from the end of Limit

	signInFailed bool
	width        int // number of requests with a token at once

	certificateWanted atomic.Bool // the server asked for a client's certificate

	mu        sync.Mutex // for what follows, while steps run side by side
	facts     Facts
	steps     []Step
	notTested []string
	refresh   string         // refresh token of the sign-in
	sockets   []*client.Conn // of the room's chat: at most two, on different replicas if possible
}

// A step is one part of the walk.
type step struct {
	name string
	run  func(context.Context) result
}

// A result is what a step reports. The zero value means that the step does not apply.
type result struct {
	detail string
	ok     bool
	skip   string        // why the step was left out
	median time.Duration // to be held to limit; 0 for none
	limit  time.Duration
}

func passed(format string, args ...any) result {
	return result{ok: true, detail: fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) result { return result{detail: fmt.Sprintf(format, args...)} }

func skipped(why string) result { return result{skip: why} }

// run makes all steps. Steps of one stage run side by side.
func (w *walk) run(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, w.Limit)
	defer cancel()
	early, end := context.WithTimeout(limited, w.Limit-w.Limit/5) // leaves time to compare, and to ask the replicas
	w.walk(early)
	end()
	w.stage(limited, step{"compare", w.compare})
	w.stage(limited, step{"inside", w.inspectReplicas})
	w.stage(ctx, step{"idle", w.measureIdle})
}

func (w *walk) walk(ctx context.Context) {
	if !w.stage(ctx, step{"name", w.resolveName}) || !w.stage(ctx, step{"tcp", w.connectTCP}) || !w.stage(ctx, step{"tls", w.connectTLS}) {
		w.leaveOut("everything after it: it needs a connection")
		return
	}
	w.stage(ctx, step{"http", w.requestHTTP}, step{"upgrade", w.testUpgrades})
	if !w.facts.any(func(a *Attempt) bool { return a.Status != 0 }) {
		w.leaveOut("everything after it: the server does not answer")
		return
	}
	if w.facts.hangs() { // no need to wait long for what others answer at once
		w.Timeout = min(w.Timeout, 750*time.Millisecond)
	}
	w.stage(ctx, step{"echo", w.testEcho}, step{"browser", w.connectAsBrowser}, step{"routes", w.testRoutes})
	w.stage(ctx, step{"clock", w.compareClocks}, step{"sign-in", w.signIn})
	w.stage(ctx, step{"token", w.inspectToken})
	w.stage(ctx, step{"handshake", w.joinRoom})
	w.stage(ctx, step{"message", w.exchangeProbes})
	w.stage(ctx, step{"stored", w.storeMessage})
	w.closeSockets()
	if len(w.facts.Slow) > 0 { // more at once would make it slower
		w.width = 1
	}
	w.stage(ctx, step{"app", w.connectAsApp}, step{"ticket", w.connectByTicket}, step{"classic", w.connectAsClassic}, step{"location", w.testLocation})
}

// leaveOut records that the rest of the walk is not tested.
func (w *walk) leaveOut(why string) { w.notTested = append(w.notTested, why) }

// stage runs steps side by side, and reports whether all are well or do not apply.
func (w *walk) stage(ctx context.Context, all ...step) bool {
	var names []string
	for _, s := range all {
		names = append(names, s.name)
	}
	w.watch.Start(strings.Join(names, ", "))
	type timed struct {
		result
		took time.Duration
	}
	results := make([]chan timed, len(all))
	for i, s := range all {
		results[i] = make(chan timed, 1)
		go func() {
			began := time.Now()
			if ctx.Err() != nil {
				results[i] <- timed{skipped("not begun in time"), 0}
				return
			}
			r := s.run(ctx)
			if ctx.Err() != nil && !r.ok {
				r = skipped("not finished in time")
			}
			results[i] <- timed{r, time.Since(began)}
		}()
	}
	well := true
	for i, s := range all {
		r := <-results[i]
		w.report(s.name, r.result, r.took)
		well = well && (r.ok || r.skip == "" && r.detail == "")
	}
	return well
}

func (w *walk) report(name string, r result, took time.Duration) {
	if r.skip != "" {
		w.notTested = append(w.notTested, name+": "+r.skip)
		return
	}
	if r.detail == "" && !r.ok {
		return
	}
	s := Step{Name: name, OK: r.ok, Detail: logging.Printable(r.detail, " "), MS: float64(took.Microseconds()) / 1000}
	if r.limit > 0 && r.median > r.limit {
		s.Slow = true
		s.Detail += fmt.Sprintf(" (slow: above %s)", durationText(r.limit))
		w.mu.Lock()
		w.facts.Slow = append(w.facts.Slow, Slow{Step: name, MS: float64(r.median.Microseconds()) / 1000, LimitMS: float64(r.limit.Microseconds()) / 1000})
		w.mu.Unlock()
	}
	w.steps = append(w.steps, s)
	w.watch.End(s)
}

// record adds an attempt to the facts, unless it failed because the diagnosis ended.
func (w *walk) record(ctx context.Context, a Attempt) Attempt {
	if ctx.Err() != nil && !a.OK {
		return a
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts.Attempts = append(w.facts.Attempts, a)
	return a
}

// has reports whether one of the attempts so far has a property.
func (w *walk) has(property func(*Attempt) bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts.any(property)
}

func (w *walk) reached() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts.reached()
}

func (w *walk) closeSockets() {
	for _, c := range w.sockets {
		closeSocket(c)
	}
	w.sockets = nil
}
