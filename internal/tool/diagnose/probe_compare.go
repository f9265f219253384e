package diagnose

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/tool/client"
)

// compare repeats what failed with one thing changed, which tells its causes apart. It makes no
// findings of its own.
func (w *walk) compare(ctx context.Context) result {
	w.mu.Lock()
	refused := w.facts.any(func(a *Attempt) bool { return !a.OK && a.stranger() && a.Status >= 400 })
	silent := w.facts.any(func(a *Attempt) bool {
		return !a.OK && (a.Error == "timeout" || a.Error == "reset" || a.Error == "closed" || a.Error == "not_http")
	})
	size := w.facts.any(func(a *Attempt) bool {
		return !a.OK && a.stranger() && slices.Contains([]int{400, 413, 414, 431}, a.Status)
	})
	told := w.facts.any(func(a *Attempt) bool { return a.says("certificate", "https port", "https server") })
	none := !w.facts.any(func(a *Attempt) bool { return a.Ours })
	w.mu.Unlock()
	if len(w.alive()) == 0 || w.facts.Certificate != nil && w.facts.Certificate.Cause != "" || !refused && !silent {
		return result{}
	}
	var lines []string
	if none && !told && (silent || size) {
		w.findProtocol(ctx)
		if len(w.facts.Speaks) > 0 {
			lines = append(lines, "the port speaks "+strings.Join(w.facts.Speaks, ", "))
		}
	}
	if otherProtocol(&w.facts) == "" && (silent && !w.facts.hangs() || size) {
		lines = append(lines, w.compareSizes(ctx))
	}
	if refused && !none {
		lines = append(lines, w.compareConnections(ctx)...)
	}
	if none || refused {
		lines = append(lines, w.askDirectly(ctx)...)
	}
	return passed("%s", strings.Join(slices.DeleteFunc(lines, func(s string) bool { return s == "" }), "; "))
}

// compareSizes sends requests of several sizes.
func (w *walk) compareSizes(ctx context.Context) string {
	repeat(ctx, len(probeSizes), len(probeSizes), func(i int) (Attempt, bool) {
		a, _ := w.request(ctx, Attempt{Probe: "size", Path: "/ws/test/", Bytes: probeSizes[i]}, http.MethodGet, http.Header{"X-Padding": {strings.Repeat("x", probeSizes[i])}}, "")
		a.OK = a.Status != 0 && a.Status != 400 && a.Status != 413 && a.Status != 414 && a.Status != 431
		return w.record(ctx, a), true
	})
	answered, silent := w.facts.sizes()
	switch {
	case silent == 0 && answered > 0:
		return fmt.Sprintf("requests of up to %d bytes are answered", answered)
	case silent > 0 && answered > 0:
		return fmt.Sprintf("a request of %d bytes is answered, one of %d bytes is not", answered, silent)
	}
	return "requests of no size are answered"
}

// compareConnections asks once more without an upgrade, and then for sockets beside each other.
func (w *walk) compareConnections(ctx context.Context) (lines []string) {
	sleep(ctx, releaseTime)
	again, _ := w.request(ctx, Attempt{Probe: "again", Path: "/ws/test/?greet=1"}, http.MethodGet, nil, "")
	again.OK = again.Ours
	w.record(ctx, again)
	lines = append(lines, "a plain request: "+again.result())
	for range 2 {
		a := w.holdSockets(ctx)
		sleep(ctx, releaseTime)
		lines = append(lines, fmt.Sprintf("a socket beside %d others: %s", a.Held, a.result()))
		if a.OK {
			break
		}
	}
	return lines
}

// releaseTime is how long a proxy may take to notice that sockets were closed.
const releaseTime = 300 * time.Millisecond

// maxHeld is how many sockets are held beside each other in search of a limit.
const maxHeld = 6

// holdSockets opens sockets until one is refused, and returns the last attempt.
func (w *walk) holdSockets(ctx context.Context) Attempt {
	for held := 0; ; held++ {
		conn, a := w.open(ctx, Attempt{Probe: "beside", Path: "/ws/test/", Held: held}, client.Options{}, "")
		a.OK = conn != nil && a.Ours
		if a = w.record(ctx, a); conn == nil {
			return a
		}
		defer closeSocket(conn)
		if held+1 == maxHeld {
			return a
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// defaultPort is that of the public listener.
const defaultPort = "8000"

// askDirectly asks the hosts of the ops listeners at the default port, past all proxies.
func (w *walk) askDirectly(ctx context.Context) (lines []string) {
	for _, ops := range w.Ops {
		u, err := url.Parse(ops)
		if err != nil {
			continue
		}
		address := net.JoinHostPort(u.Hostname(), defaultPort)
		a, _ := w.request(ctx, Attempt{Probe: "direct", Path: "http://" + address + "/ws/test/", Address: address}, http.MethodGet, nil, "")
		if a.OK = a.Ours; a.OK {
			lines = append(lines, "directly at "+address+" roomspa answers")
		}
		w.record(ctx, a)
	}
	return lines
}
