package memory

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// tree writes files below a directory of the test's own.
func tree(t testing.TB, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// with adds files to others.
func with(files map[string]string, more ...string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, files)
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

func TestWhatIsMeasured(t *testing.T) {
	t.Parallel()
	const (
		v2 = "sys/fs/cgroup/"
		v1 = "sys/fs/cgroup/memory/"
	)
	two := map[string]string{
		"proc/self/cgroup": "0::/\n", v2 + "cgroup.controllers": "cpu memory\n", v2 + "memory.max": "1000\n", v2 + "memory.current": "700\n",
		v2 + "memory.stat": "anon 500\ninactive_file_x 9\nfile 200\ninactive_file 150\nactive_file 50\n",
	}
	one := map[string]string{ // the mount is the container's own group, whose name is of outside
		"proc/self/cgroup":           "5:cpu,cpuacct:/kubepods/x\n4:memory:/kubepods/x\n0::/kubepods/x\n",
		v1 + "memory.limit_in_bytes": "1000\n", v1 + "memory.usage_in_bytes": "700\n",
		v1 + "memory.stat": "inactive_file 1\ntotal_inactive_file 250\n",
	}
	inside := func(mount, limit, used string) map[string]string {
		return with(map[string]string{}, "proc/self/cgroup", "3:memory:/a/b\n0::/a/b\n", mount+"a/b/"+limit, "500\n", mount+"a/b/"+used, "300\n", mount+"a/b/memory.stat", "",
			mount+"a/"+limit, "400\n", mount+"a/"+used, "350\n", mount+"a/memory.stat", "inactive_file 30\ntotal_inactive_file 40\n")
	}
	nested2 := with(inside(v2, "memory.max", "memory.current"), v2+"cgroup.controllers", "memory")
	nested1 := inside(v1, "memory.limit_in_bytes", "memory.usage_in_bytes")
	page := int64(os.Getpagesize())
	for name, c := range map[string]struct {
		files       map[string]string
		byHand      int64
		limit, used int64 // a limit of 0: nothing is measured
		unmeasured  bool  // though there is a limit
	}{
		"version 2":                           {two, 0, 1000, 500, false},
		"version 1":                           {one, 0, 1000, 450, false},
		"version 2, one around it is smaller": {nested2, 0, 400, 320, false},
		"version 1, one around it is smaller": {nested1, 0, 400, 310, false},
		"version 2, its own is smaller":       {with(nested2, v2+"a/memory.max", "max\n"), 0, 500, 300, false},
		"version 1, its own is smaller":       {with(nested1, v1+"a/memory.limit_in_bytes", "9223372036854771712\n"), 0, 500, 300, false},
		"beside version 1 there is a 2":       {with(one, "sys/fs/cgroup/unified/memory.max", "5\n", "sys/fs/cgroup/memory.max", "5\n"), 0, 1000, 450, false},
		"its name is not known":               {with(two, "proc/self/cgroup", "\nx\n0:\n"), 0, 1000, 500, false},
		"its name leads out":                  {with(two, "proc/self/cgroup", "0::/../../x\n"), 0, 1000, 500, false},
		"less is used than can be dropped":    {with(two, v2+"memory.current", "100\n"), 0, 1000, 0, false},
		"nothing can be dropped":              {with(two, v2+"memory.stat", "anon 500\n"), 0, 1000, 700, false},
		"what can be dropped is no number":    {with(two, v2+"memory.stat", "inactive_file x\ninactive_file -5\ninactive_file 10"), 0, 1000, 700, false},
		"no limit in version 2":               {with(two, v2+"memory.max", "max\n"), 0, 0, 0, false},
		"no limit in version 1":               {with(one, v1+"memory.limit_in_bytes", "9223372036854771712\n"), 0, 0, 0, false},
		"a limit of nothing":                  {with(two, v2+"memory.max", "0\n"), 0, 0, 0, false},
		"a limit below nothing":               {with(two, v2+"memory.max", "-1\n"), 0, 0, 0, false},
		"a limit that is no number":           {with(two, v2+"memory.max", "lots\n"), 0, 0, 0, false},
		"what is used is no number":           {with(two, v2+"memory.current", "lots\n"), 0, 0, 0, true},
		"no control groups":                   {nil, 0, 0, 0, false},
		"a limit by hand":                     {with(two, "proc/self/statm", "900 30 10 1 0 200 0\n"), 7 << 20, 7 << 20, 30 * page, false},
		"a limit by hand, not Linux":          {two, 7 << 20, 0, 0, true},
		"a limit by hand, an odd Linux":       {with(two, "proc/self/statm", "900\n"), 7 << 20, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := prometheus.NewRegistry()
			m, err := New(tree(t, c.files), c.byHand, reg)
			if (err != nil) != c.unmeasured {
				t.Errorf("error %v", err)
			}
			if (m == nil) != c.unmeasured || m.Limit() != c.limit || m.Used() != c.used {
				t.Errorf("%d of %d are used, want %d of %d", m.Used(), m.Limit(), c.used, c.limit)
			}
			page := map[string]float64{}
			all, err := reg.Gather()
			for _, family := range all {
				page[family.GetName()] = family.GetMetric()[0].GetGauge().GetValue()
			}
			want := map[string]float64{}
			if c.limit != 0 {
				want = map[string]float64{"roomspa_memory_limit_bytes": float64(c.limit), "roomspa_memory_used_bytes": float64(c.used), "roomspa_memory_used_ratio": m.Share()}
			}
			if err != nil || fmt.Sprint(page) != fmt.Sprint(want) {
				t.Errorf("metrics %v, %v, want %v", page, err, want)
			}
			if c.limit != 0 {
				if got := m.Share(); got != 1-float64(c.limit-c.used)/float64(max(c.limit, minBase)) {
					t.Errorf("a share of %v", got)
				}
				if free := c.limit - max(c.limit, minBase)/20 - c.used; !m.Fits(free) || m.Fits(free+1) {
					t.Errorf("it has %d: %v, and one more: %v", free, m.Fits(free), m.Fits(free+1))
				}
			} else if m.Share() != 0 || !m.Fits(1<<62) {
				t.Error("who knows of no limit keeps one")
			}
		})
	}
}

// TestItIsMeasuredAgain is about the clock, and about what cannot be read any more.
func TestItIsMeasuredAgain(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"proc/self/statm": "0 1 0"})
	write := func(pages string) {
		if err := os.WriteFile(filepath.Join(root, "proc/self/statm"), []byte("0 "+pages+" 0"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		m, err := New(root, 1<<30, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		used := func() int64 { return m.Used() / int64(os.Getpagesize()) }
		if used() != 1 {
			t.Fatal("it is not measured at first")
		}
		write("2")
		time.Sleep(measureEvery - 1) //nolint:forbidigo // the bubble's time
		if used() != 1 {
			t.Error("it is measured at each question")
		}
		time.Sleep(1) //nolint:forbidigo // the bubble's time
		if used() != 2 {
			t.Error("it is not measured again")
		}
		write("gone")
		time.Sleep(measureEvery) //nolint:forbidigo // the bubble's time
		if used() != 0 {
			t.Error("what cannot be read counts")
		}
	})
}

func TestManyMayAsk(t *testing.T) {
	t.Parallel()
	m, err := New("/", 1<<40, prometheus.NewRegistry())
	if err != nil {
		t.Skip(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				m.next.Store(0)
				if used := m.Used(); used < 1<<20 && used != 0 || used > 1<<40 {
					t.Errorf("this process takes %d bytes", used)
				}
			}
		})
	}
	wg.Wait()
	if m.Used() == 0 {
		t.Error("this process takes no memory")
	}
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("anon 1\ninactive_file 2\n"))
	f.Add([]byte("inactive_file"))
	f.Add([]byte("inactive_file \ninactive_file -1\ninactive_file 99999999999999999999\n\n"))
	key := []byte("inactive_file")
	f.Fuzz(func(t *testing.T, stat []byte) {
		n := statEntry(stat, key)
		if n < 0 {
			t.Fatalf("%d bytes", n)
		}
		if line := strconv.AppendInt([]byte("inactive_file "), n, 10); n > 0 && !bytes.Contains(stat, key) {
			t.Fatalf("%s is not in there", line)
		}
		if got := statEntry(append([]byte("inactive_file 7\n"), stat...), key); got != 7 {
			t.Fatalf("the first line says 7, and it is %d", got)
		}
		if got := statEntry(append(bytes.Clone(stat), "\ninactive_file 7\n"...), key); got != 7 && got != n && n != 0 {
			t.Fatalf("%d, and with one more line %d", n, got)
		}
	})
}

func BenchmarkUsed(b *testing.B) {
	two := map[string]string{
		"sys/fs/cgroup/cgroup.controllers": "memory", "sys/fs/cgroup/memory.max": "1000000000\n", "sys/fs/cgroup/memory.current": "7000000\n",
		"sys/fs/cgroup/memory.stat": string(bytes.Repeat([]byte("workingset_refault_anon 1234567\n"), 60)) + "inactive_file 5\n",
	}
	group, noGroup := New(tree(b, two), 0, prometheus.NewRegistry())
	process, noProcess := New("/", 1<<40, prometheus.NewRegistry())
	if err := errors.Join(noGroup, noProcess); err != nil {
		b.Fatal(err)
	}
	group.gcLimit.Store(1 << 30)
	for name, m := range map[string]*Meter{"group": group, "process": process} {
		for how, again := range map[string]bool{"measured": true, "remembered": false} {
			b.Run(name+" "+how, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if again {
						m.next.Store(0)
					}
					m.Used()
				}
			})
		}
	}
}

// The collector's own limit counts too: where little of what it keeps to is garbage, it
// would be at work all the time.
func TestTheCollectorsLimitCounts(t *testing.T) {
	t.Parallel()
	m, err := New("/", 1<<40, prometheus.NewRegistry())
	if err != nil {
		t.Skip(err)
	}
	if got := m.Share(); got > 0.1 {
		t.Fatalf("a share of %v", got)
	}
	m.gcLimit.Store(1 << 40)
	m.next.Store(0)
	if got := m.Share(); got < 0.5 || got > 0.51 {
		t.Errorf("with a collector that keeps to much, a share of %v, want half and little more", got)
	}
	m.gcLimit.Store(1 << 20) // this process has more
	m.next.Store(0)
	if got := m.Share(); got <= 0.95 {
		t.Errorf("with a collector that is short, a share of %v", got)
	}
}
