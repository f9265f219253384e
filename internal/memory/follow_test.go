package memory

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The files of a control group of version 2 and of version 1.
var groups = map[string]struct {
	files       map[string]string
	limit, none string
}{
	"version 2": {map[string]string{
		"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cgroup.controllers": "memory\n",
		"sys/fs/cgroup/memory.current": "400000000\n", "sys/fs/cgroup/memory.stat": "\n",
	}, "sys/fs/cgroup/memory.max", "max"},
	"version 1": {map[string]string{
		"proc/self/cgroup":                           "4:memory:/\n",
		"sys/fs/cgroup/memory/memory.usage_in_bytes": "400000000\n", "sys/fs/cgroup/memory/memory.stat": "\n",
	}, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"},
}

// TestTheLimitIsFollowed raises, lowers, removes and sets the limit of a control group.
func TestTheLimitIsFollowed(t *testing.T) {
	t.Parallel()
	for name, c := range groups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, with(c.files, c.limit, "512000000\n"))
			synctest.Test(t, func(t *testing.T) {
				reg := prometheus.NewRegistry()
				m, err := New(root, 0, reg)
				if err != nil {
					t.Fatal(err)
				}
				var said []string
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go m.Follow(ctx, func(before, now int64) { said = append(said, fmt.Sprint(before, " ", now)) })
				for _, step := range []struct {
					limit, said string
					share       float64
				}{
					{"512000000", "", 0.781},
					{"1024000000", "512000000 1024000000", 0.391},
					{"420000000", "1024000000 420000000", 0.952},
					{"420000000", "", 0.952},
					{"300000000", "420000000 300000000", 1.333}, // more is used
					{"nonsense", "", 1.333},
					{"512000000", "300000000 512000000", 0.781},
					{c.none, "512000000 0", 0},
					{"800000000", "0 800000000", 0.5},
				} {
					write(t, filepath.Join(root, c.limit), step.limit)
					time.Sleep(followEvery) //nolint:forbidigo // the bubble's time
					synctest.Wait()
					if got := strings.Join(said, ", "); got != step.said || fmt.Sprintf("%.3f", m.Share()) != fmt.Sprintf("%.3f", step.share) {
						t.Errorf("%s: said %q, a share of %.3f, want %q and %.3f", step.limit, got, m.Share(), step.said, step.share)
					}
					if got, want := gauge(t, reg, "roomspa_memory_limit_bytes"), float64(m.Limit()); got != want {
						t.Errorf("%s: the metric is %v, want %v", step.limit, got, want)
					}
					said = nil
				}
				if err := os.Remove(filepath.Join(root, c.limit)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(followEvery) //nolint:forbidigo // the bubble's time
				synctest.Wait()
				if m.Limit() != 800000000 || said != nil {
					t.Errorf("without the file the limit is %d, %v", m.Limit(), said)
				}
			})
		})
	}
}

// TestALimitThatAppears: a replica that was started without one.
func TestALimitThatAppears(t *testing.T) {
	t.Parallel()
	c := groups["version 2"]
	root := tree(t, with(c.files, c.limit, "max\n"))
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		m, err := New(root, 0, reg)
		if err != nil || m.Limit() != 0 || !m.Fits(1<<62) {
			t.Fatal(m, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go m.Follow(ctx, func(int64, int64) {})
		write(t, filepath.Join(root, c.limit), "420000000")
		time.Sleep(followEvery) //nolint:forbidigo // the bubble's time
		synctest.Wait()
		if m.Share() < 0.95 || gauge(t, reg, "roomspa_memory_limit_bytes") != 420000000 {
			t.Errorf("limit %d, a share of %v", m.Limit(), m.Share())
		}
	})
}

// TestALimitByHandStays whatever the control group says.
func TestALimitByHandStays(t *testing.T) {
	t.Parallel()
	c := groups["version 2"]
	root := tree(t, with(c.files, c.limit, "512000000\n", "proc/self/statm", "900 30 10 1 0 200 0\n"))
	m, err := New(root, 64<<20, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	m.Follow(t.Context(), func(int64, int64) { t.Error("it changed") }) // returns at once
	if m.Limit() != 64<<20 {
		t.Errorf("limit %d", m.Limit())
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// gauge returns the value of a metric, or -1 if there is none.
func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}
