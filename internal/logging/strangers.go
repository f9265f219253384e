package logging

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	strangerLines  = 10          // warnings that are written per cause and network in one period
	strangerPeriod = time.Minute // between two lines that count the others
	maxStrangers   = 4096        // pairs of cause and network that are remembered
)

// Strangers is a [slog.Handler] that lets [Conn.AllowStranger] bound the warnings that clients
// without a valid token cause: 10 a minute per cause and client network. It counts the others
// in one line a minute. All other lines pass. It is safe for concurrent use.
type Strangers struct {
	slog.Handler

	state *strangers
}

type strangers struct {
	total prometheus.Counter

	mu         sync.Mutex
	began      time.Time           // of the period
	written    map[stranger]int    // lines of the period
	suppressed map[string]int      // lines since the last report, by cause
	networks   map[string]struct{} // of the suppressed lines; at most maxStrangers
}

type stranger struct{ cause, network string }

// NewStrangers returns a handler that writes to h.
func NewStrangers(h slog.Handler, reg prometheus.Registerer) *Strangers {
	return &Strangers{h, &strangers{
		total: promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Name: "roomspa_suppressed_warnings_total",
			Help: "Total warnings about clients without a valid token that were counted but not logged.",
		}),
		written: map[stranger]int{}, suppressed: map[string]int{}, networks: map[string]struct{}{},
	}}
}

// WithAttrs implements [slog.Handler].
func (s *Strangers) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Strangers{s.Handler.WithAttrs(attrs), s.state}
}

// WithGroup implements [slog.Handler].
func (s *Strangers) WithGroup(name string) slog.Handler {
	return &Strangers{s.Handler.WithGroup(name), s.state}
}

// Run reports the suppressed warnings once a minute until ctx ends.
func (s *Strangers) Run(ctx context.Context) {
	tick := time.NewTicker(strangerPeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.report()
		case <-ctx.Done():
			s.report()
			return
		}
	}
}

// report logs how many warnings were suppressed since the last report.
func (s *Strangers) report() {
	s.state.mu.Lock()
	byCause, networks := s.state.suppressed, len(s.state.networks)
	s.state.suppressed, s.state.networks = map[string]int{}, map[string]struct{}{}
	s.state.mu.Unlock()
	total, words := 0, make([]string, 0, len(byCause))
	for _, cause := range slices.Sorted(maps.Keys(byCause)) {
		total += byCause[cause]
		words = append(words, fmt.Sprintf("%s:%d", cause, byCause[cause]))
	}
	if total > 0 {
		Component(slog.New(s.Handler), slog.LevelWarn, "Log", fmt.Sprintf("Suppressed %d more warnings about clients without a valid token", total),
			slog.String("causes", strings.Join(words, " ")), slog.Int("networks", networks))
	}
}

// allow counts a warning and reports whether to write it.
func (s *strangers) allow(now time.Time, cause, network string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.began) >= strangerPeriod {
		s.began = now
		clear(s.written)
	}
	key := stranger{cause, network}
	n, known := s.written[key]
	if n < strangerLines && (known || len(s.written) < maxStrangers) {
		s.written[key]++
		return true
	}
	s.total.Inc()
	s.suppressed[cause]++
	if len(s.networks) < maxStrangers {
		s.networks[network] = struct{}{}
	}
	return false
}

// AllowStranger reports whether to write a warning about a client that has shown no valid
// token. The cause is a word of a fixed set. Without a [Strangers] handler it is always true.
func (c *Conn) AllowStranger(cause string) bool {
	s, ok := c.Log.Handler().(*Strangers)
	return !ok || s.state.allow(time.Now(), cause, Network(c.Remote))
}

// Network returns the address of a client, or its /64 for IPv6, because one client usually has
// a whole /64. The address may have a port. What is no address is returned as it is.
func Network(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		with, err := netip.ParseAddrPort(remote)
		if err != nil {
			return remote
		}
		addr = with.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		prefix, _ := addr.Prefix(64) // fails only for more bits than there are
		addr = prefix.Addr()
	}
	return addr.String()
}
