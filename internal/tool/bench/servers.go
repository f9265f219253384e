package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// usage is what a server process has used.
type usage struct {
	at          time.Time
	rss         float64 // bytes
	cpu         float64 // seconds
	connections float64 // -1 if unknown
	err         error
}

// The times at which usage is sampled.
const (
	atStart = iota // before any socket is open
	atOpen         // all sockets are open, and the measurement begins
	atEnd          // the measurement has ended
	samples
)

// A server is a process whose usage is measured.
type server struct {
	name    string
	read    func(context.Context) (usage, error)
	samples [samples]usage
}

func newServers(ops []string, pids []int) (all []*server) {
	for _, url := range ops {
		url = strings.TrimSuffix(strings.TrimRight(url, "/"), "/metrics")
		all = append(all, &server{name: url, read: func(ctx context.Context) (usage, error) { return readMetrics(ctx, url+"/metrics") }})
	}
	for _, pid := range pids {
		all = append(all, &server{name: "pid " + strconv.Itoa(pid), read: func(context.Context) (usage, error) { return readProcess(pid) }})
	}
	return all
}

// sampleServers reads the usage of all servers concurrently.
func (r *run) sampleServers(ctx context.Context, sample int) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range r.servers {
		wg.Go(func() {
			u, err := s.read(ctx)
			u.at, u.err = time.Now(), err
			s.samples[sample] = u
		})
	}
	wg.Wait()
}

// readMetrics reads usage from /metrics, in the text format of Prometheus.
func readMetrics(ctx context.Context, url string) (u usage, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return u, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return u, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return u, errors.New("HTTP " + strconv.Itoa(res.StatusCode))
	}
	found := 0
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		name, _, _ = strings.Cut(name, "{")
		to := map[string]*float64{
			"process_resident_memory_bytes": &u.rss, "process_cpu_seconds_total": &u.cpu, "roomspa_connections": &u.connections,
		}[name]
		if to == nil {
			continue
		}
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return u, fmt.Errorf("%s: %w", name, err)
		}
		*to += f
		found++
	}
	if found < 2 {
		return u, errors.New("no process_resident_memory_bytes in " + url)
	}
	return u, nil
}

// ticksPerSecond is the unit of times in /proc: USER_HZ is 100 on every Linux.
const ticksPerSecond = 100

// readProcess reads usage from Linux's /proc. CPU time includes the process's children, as
// those of Postgres. The RSS is the process's own. It comes from smaps_rollup, which is exact,
// or else from status.
func readProcess(pid int) (u usage, err error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	u.connections = -1
	_, own, ended, err := readStat(dir + "stat")
	if err != nil {
		return u, err
	}
	u.cpu = own + ended + childrenCPU(pid)
	for _, file := range []struct{ name, key string }{{"smaps_rollup", "Rss:"}, {"status", "VmRSS:"}} {
		text, err := os.ReadFile(dir + file.name)
		if err != nil {
			continue
		}
		for l := range strings.Lines(string(text)) {
			if f := strings.Fields(l); len(f) >= 2 && f[0] == file.key {
				kib, err := strconv.ParseFloat(f[1], 64)
				u.rss = kib * 1024
				return u, err
			}
		}
	}
	return u, fmt.Errorf("no resident set size in %ssmaps_rollup or %sstatus", dir, dir)
}

// readStat reads the parent of a process, and the CPU seconds of the process and of its
// children that have ended.
func readStat(path string) (parent int, own, ended float64, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, 0, err
	}
	// The second field is the program's name in parentheses, which may contain anything.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	f := strings.Fields(rest)
	if len(f) < 15 {
		return 0, 0, 0, fmt.Errorf("parse %s: %d fields after the name, want 15 or more", path, len(f))
	}
	var ticks [4]float64
	for i := range ticks {
		ticks[i], _ = strconv.ParseFloat(f[11+i], 64)
	}
	parent, _ = strconv.Atoi(f[1])
	return parent, (ticks[0] + ticks[1]) / ticksPerSecond, (ticks[2] + ticks[3]) / ticksPerSecond, nil
}

// childrenCPU returns the CPU seconds of the children of a process that are running.
func childrenCPU(pid int) (seconds float64) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		if parent, own, ended, err := readStat(path); err == nil && parent == pid {
			seconds += own + ended
		}
	}
	return seconds
}
