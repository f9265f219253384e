package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestTheMemoryLimitChangesWhileTheReplicaRuns: what depends on it follows, sockets stay open,
// and each change is one line of the log.
func TestTheMemoryLimitChangesWhileTheReplicaRuns(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const group = "sys/fs/cgroup/"
	limit := func(mib int) { write(group+"memory.max", strconv.Itoa(mib<<20)) }
	write("proc/self/cgroup", "0::/")
	write(group+"cgroup.controllers", "memory")
	write(group+"memory.current", strconv.Itoa(40<<20))
	write(group+"memory.stat", "anon 1")
	limit(512)
	w := world.New(t)
	r := w.Ready(t, "a", func(o *app.Options) { o.SystemRoot = root })
	first := r.Chat(t, world.Customer)
	changed := func(line string, mib float64) {
		t.Helper()
		world.Eventually(t, line, func() (bool, any) {
			return strings.Count(r.Log.String(), line) == 1, r.Metric(t, "roomspa_memory_limit_bytes")
		})
		if got, budget := r.Metric(t, "roomspa_memory_limit_bytes")/(1<<20), r.Metric(t, "roomspa_budget_bytes")/(1<<20); got != mib || budget != max(16, mib/4) {
			t.Errorf("a limit of %v MiB and a budget of %v, want %v and a quarter of it", got, budget, mib)
		}
	}
	signIn := func(want int) {
		t.Helper()
		if a := r.Login(t, world.Customer, world.Password); a.Status != want {
			t.Errorf("a sign-in gets %+v, want %d", a, want)
		}
	}
	signIn(http.StatusOK)
	limit(1024)
	changed("Memory limit changed from 512 MiB to 1024 MiB; 40 MiB used", 1024)
	limit(72) // less than the 40 MiB and a password take
	changed("Memory limit changed from 1024 MiB to 72 MiB; 40 MiB used", 72)
	if !strings.Contains(r.Log.String(), "Memory limit too low: verifying a password takes 64 MiB") {
		t.Error("nobody says that sign-ins are refused")
	}
	signIn(http.StatusServiceUnavailable)
	limit(41)
	changed("Memory limit changed from 72 MiB to 41 MiB; 40 MiB used", 41)
	if _, res, err := r.Dial(t, world.Handshake{Path: "/ws/test/"}); err == nil || res == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a handshake gets %v, %v when less than 6 MiB are free", res, err)
	}
	first.Say(t, "are you there", "memory-1")
	first.Find(t, "ack")
	limit(512)
	changed("Memory limit changed from 41 MiB to 512 MiB; 40 MiB used", 512)
	signIn(http.StatusOK)
	r.Chat(t, world.Therapist)
}
