package browser_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// These tests break what all share, so they run before the parallel ones.

func TestAReplicaIsKilledWhileAUserTypes(t *testing.T) {
	p := room(t, 9)
	for n, replica := range world.report.Replicas {
		text := fmt.Sprintf("message %d", n)
		p.fill(sideA+".composer input", text)
		if err := syscall.Kill(replica.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.say(sideA, text)
		p.wait(sideB+lastMessage+".text", text)
		p.wait(sideA+lastMessage+".tick", "delivered")
		p.wait(sideA+".state", "live")
		p.wait(sideB+".state", "live")
	}
	if n := p.count(sideB + ".message"); n != len(world.report.Replicas) {
		t.Errorf("the other side has %d messages, want %d", n, len(world.report.Replicas))
	}
	p.wait("#log", "Closed with 1006")
	p.wait("#timelines", "resumed after message")
}

func TestRedisIsAway(t *testing.T) {
	p := room(t, 11)
	fleet := open(t, world.report.Replicas[0].OpsURL+"/console/", lostServer, refused)
	fleet.wait("#about", ": ready")
	p.say(sideA, "before")
	p.wait(sideB+lastMessage+".text", "before")

	pid := redisProcess(t)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	p.say(sideA, "while Redis is away")
	p.wait(sideA+lastMessage+".tick", "stored")
	fleet.wait("#about", "not ready")
	fleet.wait("#health", "fails since")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.wait(sideB+lastMessage+".text", "while Redis is away")
	fleet.wait("#about", ": ready")
}

// TestPostgresIsAway stops all processes of Postgres, so that its connections are open and answer nothing.
func TestPostgresIsAway(t *testing.T) {
	p := room(t, 17)
	fleet := open(t, world.report.Replicas[0].OpsURL+"/console/", lostServer, refused)
	fleet.wait("#about", ": ready")
	p.say(sideA, "before")
	p.wait(sideB+lastMessage+".text", "before")

	stopped := processes(t, filepath.Join(world.dir, "data"), "postgres")
	signal := func(s syscall.Signal) {
		for _, pid := range stopped {
			_ = syscall.Kill(pid, s) // one may have ended
		}
	}
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	for n := range 3 {
		p.say(sideA, fmt.Sprintf("while Postgres is away %d", n))
	}
	p.wait("#log", "database_unavailable")
	p.wait(sideA+lastMessage+".tick", "being sent")
	fleet.wait("#about", "not ready")
	fleet.wait("#health", "postgres")
	fleet.wait("#health", "fails since")
	signal(syscall.SIGCONT)
	p.wait(sideB+lastMessage+".text", "while Postgres is away 2")
	p.wait(sideA+lastMessage+".tick", "delivered")
	fleet.wait("#about", ": ready")
	if all := p.count(sideB + ".message"); all != 4 {
		t.Errorf("the other side has %d messages, want 4", all)
	}
}

// processes returns the ids of all processes with this name whose postmaster has its data below a directory.
func processes(t *testing.T, dir, name string) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("needs /proc")
	}
	parents, masters := map[int]int{}, map[int]bool{}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // has ended
		}
		head, rest, _ := strings.Cut(string(text), ") ")
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if fields := strings.Fields(rest); strings.HasSuffix(head, "("+name) && len(fields) > 1 {
			parents[pid], _ = strconv.Atoi(fields[1])
		}
		if line, _ := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline")); bytes.Contains(line, []byte(dir)) {
			masters[pid] = true
		}
	}
	for pid, parent := range parents {
		if masters[pid] || masters[parent] {
			pids = append(pids, pid)
		}
	}
	if len(pids) < 2 {
		t.Fatalf("found the processes %v of %s in %s", pids, name, dir)
	}
	return pids
}
