package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A sight is what one replica has used at one time.
type sight struct {
	at          time.Time
	rss         float64 // bytes
	cpu         float64 // seconds
	connections float64 // -1 where it does not say
	err         error
}

// A watcher looks at one replica.
type watcher struct {
	name string
	look func(context.Context) (sight, error)
	saw  [moments]sight
}

// watchers look at all replicas that are within sight.
type watchers struct {
	all     []*watcher
	looking sync.WaitGroup
}

// The moments at which replicas are looked at.
const (
	before = iota // no socket is open
	open          // all sockets are open, and what is measured begins
	after         // what is measured has ended
	moments
)

func newWatchers(ops []string, pids []int) *watchers {
	w := &watchers{}
	for _, url := range ops {
		url = strings.TrimSuffix(strings.TrimRight(url, "/"), "/metrics")
		w.all = append(w.all, &watcher{name: url, look: func(ctx context.Context) (sight, error) { return scrape(ctx, url+"/metrics") }})
	}
	for _, pid := range pids {
		w.all = append(w.all, &watcher{name: "pid " + strconv.Itoa(pid), look: func(context.Context) (sight, error) { return process(pid) }})
	}
	return w
}

// snap looks at all replicas at once.
func (w *watchers) snap(ctx context.Context, when int) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, one := range w.all {
		wg.Go(func() {
			s, err := one.look(ctx)
			s.at, s.err = time.Now(), err
			one.saw[when] = s
		})
	}
	wg.Wait()
}

// scrape reads a replica's /metrics, in the text format of Prometheus.
func scrape(ctx context.Context, url string) (s sight, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return s, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return s, errors.New("HTTP " + strconv.Itoa(res.StatusCode))
	}
	found := 0
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		name, _, _ = strings.Cut(name, "{")
		to := map[string]*float64{
			"process_resident_memory_bytes": &s.rss, "process_cpu_seconds_total": &s.cpu, "roomspa_connections": &s.connections,
		}[name]
		if to == nil {
			continue
		}
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return s, fmt.Errorf("%s: %w", name, err)
		}
		*to += f
		found++
	}
	if found < 2 {
		return s, errors.New("there is no process_resident_memory_bytes in " + url)
	}
	return s, nil
}

// ticks is the unit of /proc's times: USER_HZ is 100 on every Linux there is.
const ticks = 100

// process reads what Linux says of a process. RSS is that of smaps_rollup, which is
// exact, else that of status.
func process(pid int) (s sight, err error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	s.connections = -1
	text, err := os.ReadFile(dir + "stat")
	if err != nil {
		return s, err
	}
	// The second field is a name in parentheses, which may hold anything.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return s, errors.New("/proc stat is too short")
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	s.cpu = (user + system) / ticks
	for _, file := range []struct{ name, key string }{{"smaps_rollup", "Rss:"}, {"status", "VmRSS:"}} {
		text, err = os.ReadFile(dir + file.name)
		if err != nil {
			continue
		}
		for l := range strings.Lines(string(text)) {
			if f := strings.Fields(l); len(f) >= 2 && f[0] == file.key {
				kib, err := strconv.ParseFloat(f[1], 64)
				s.rss = kib * 1024
				return s, err
			}
		}
	}
	return s, errors.New("no resident set size is to be read")
}
