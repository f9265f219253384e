//go:build linux

package sandbox_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// own starts both servers, tells where they are and waits to be killed.
func own() {
	ctx := context.Background()
	dir, _, err := sandbox.Scratch()
	check(err)
	p, err := sandbox.StartPostgres(ctx, sandbox.PostgresOptions{
		Dir: filepath.Join(dir, "pg"), Settings: sandbox.TestSettings(), QuickInit: true,
	})
	check(err)
	r, err := sandbox.StartRedis(ctx, sandbox.RedisOptions{Dir: filepath.Join(dir, "redis")})
	check(err)
	if os.Getenv("SANDBOX_OWNER") == "paused" {
		check(p.Pause())
		check(r.Pause())
	}
	fmt.Println(dir, p.PID(), r.PID())
	select {}
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func TestServersDieWithTheirOwner(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"running", "paused"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			owner := exec.CommandContext(limited(t), os.Args[0])
			owner.Env = append(os.Environ(), "SANDBOX_OWNER="+mode)
			out, err := owner.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := owner.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			var dir string
			var postgres, redis int
			if _, err := fmt.Sscan(line, &dir, &postgres, &redis); err != nil {
				t.Fatalf("owner said %q: %v", line, err)
			}
			pids := append(childrenOf(t, postgres), postgres, redis)
			if len(pids) < 5 {
				t.Fatalf("Postgres has %d processes, want several", len(pids)-1)
			}
			if err := owner.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = owner.Wait()
			for _, pid := range pids {
				await(t, fmt.Sprintf("end of process %d (state %c)", pid, state(pid)), func() bool { return gone(pid) })
			}
			await(t, "removal of "+dir, func() bool {
				scratch(t) // whoever needs a directory sweeps those of the dead, unless another one is about it
				_, err := os.Stat(dir)
				return err != nil
			})
		})
	}
}

func state(pid int) byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return '-'
	}
	return stat[strings.LastIndexByte(string(stat), ')')+2]
}

func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	var children []int
	for _, dir := range inDir(t, "/proc", "[0-9]*") {
		var child, parent int
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue
		}
		head, tail, _ := strings.Cut(string(stat), " (")
		if _, err := fmt.Sscan(head, &child); err != nil {
			continue
		}
		if _, err := fmt.Sscanf(tail[strings.LastIndexByte(tail, ')')+4:], "%d", &parent); err == nil && parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// A group of its own is what keeps the terminal's Ctrl-C away.
func TestServersStandInGroupsOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := startRedis(t, filepath.Join(scratch(t), "redis"), nil)
	if group, err := syscall.Getpgid(r.PID()); err != nil || group != r.PID() {
		t.Errorf("group of process %d = %d, %v", r.PID(), group, err)
	}
}
