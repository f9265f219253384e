package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestUpdatesUnderLoad checks that updates and a rollback close each socket with 1012 and
// lose no message.
func TestUpdatesUnderLoad(t *testing.T) {
	const clients = 500
	world.restore(t)
	if err := errors.Join(world.upgrade(t.Context(), "--values", "testdata/unhurried.yaml"), world.settle(t.Context())); err != nil {
		t.Fatal(err)
	}
	g := connectCrowd(t, world, load{clients: clients, rooms: 125, every: time.Second})
	exits := watchExits(t, world)
	before := world.migrations(t)
	began := time.Now()
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"the first update", func() error {
			return world.upgrade(t.Context(), "--values", "testdata/unhurried.yaml", "--set-string", "podAnnotations.e2e=first")
		}},
		{"the second update", func() error {
			return world.upgrade(t.Context(), "--values", "testdata/unhurried.yaml", "--set-string", "podAnnotations.e2e=second")
		}},
		{"the rollback", func() error {
			_, err := world.run(t.Context(), "", "helm", "rollback", "roomspa", "--timeout", "3m")
			return err
		}},
	} {
		started := time.Now()
		if err := errors.Join(step.run(), world.settle(t.Context())); err != nil {
			t.Fatal(step.name, err)
		}
		closes := slices.DeleteFunc(g.ends(), func(e end) bool { return e.at.Before(started) })
		t.Logf("%s took %v and closed these sockets:\n%s", step.name, time.Since(started).Round(time.Second), histogram(closes))
	}
	eventually(t, "five minutes have passed", 5*time.Minute, func() bool { return time.Since(began) > 5*time.Minute })
	g.finish(t, 2*time.Minute)
	closes := g.closes()
	if closes[1012] < 3*clients || len(closes) != 1 {
		t.Errorf("closed sockets by code: %v, want only 1012, at least once for each client and step", closes)
	}
	ran := world.migrations(t)
	maps.DeleteFunc(ran, func(event string, _ bool) bool { return before[event] })
	if got := len(ran); got != 2 {
		t.Errorf("the migration ran %d times, want once for each update and not for the rollback", got)
	}
	if got := exits(); len(got) != 1 || got[0] < 6 {
		t.Errorf("exit codes of replicas, with their number: %v, want 0 at least six times", got)
	}
	g.judge(t)
}

// migrations returns the events of the last hour that created a migration pod.
func (c *cluster) migrations(t *testing.T) map[string]bool {
	t.Helper()
	pods := map[string]bool{}
	for event := range strings.FieldsSeq(c.kubectl(t, "get", "events", "--field-selector",
		"involvedObject.kind=Job,involvedObject.name=roomspa-migrate,reason=SuccessfulCreate", "-o", "name")) {
		pods[event] = true
	}
	return pods
}

// watchExits watches the replicas' pods until exits is called, which returns the number of
// ended containers by exit code. SIGKILL has 137.
func watchExits(t *testing.T, c *cluster) (exits func() map[int]int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "kubectl", "--namespace", c.namespace, "get", "pods", "-l", server, "--watch", "-o", "json")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		stop()
		t.Fatal(err)
	}
	codes := map[string]int{} // by pod
	var reading sync.WaitGroup
	reading.Go(func() {
		for in := json.NewDecoder(out); ; {
			var pod struct {
				Metadata struct{ Name string }
				Status   struct {
					ContainerStatuses []struct {
						State, LastState struct {
							Terminated *struct{ ExitCode int }
						}
					}
				}
			}
			if err := in.Decode(&pod); err != nil {
				if ctx.Err() == nil && !errors.Is(err, io.EOF) {
					t.Error("watch pods:", err)
				}
				return
			}
			for _, s := range pod.Status.ContainerStatuses {
				if s.State.Terminated != nil {
					codes[pod.Metadata.Name] = s.State.Terminated.ExitCode
				}
				if s.LastState.Terminated != nil {
					codes[pod.Metadata.Name+", restarted"] = s.LastState.Terminated.ExitCode
				}
			}
		}
	})
	return func() map[int]int {
		stop()
		reading.Wait()
		_ = cmd.Wait() // returns the error of the kill
		all := map[int]int{}
		for _, code := range codes {
			all[code]++
		}
		return all
	}
}

// histogram formats the number of closes per second, and how long clients had no socket.
func histogram(ends []end) string {
	if len(ends) == 0 {
		return "none"
	}
	first := ends[0].at
	for _, e := range ends {
		if e.at.Before(first) {
			first = e.at
		}
	}
	limits := []time.Duration{100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, time.Hour}
	bySecond, byGap, last, longest := map[int]int{}, map[time.Duration]int{}, 0, time.Duration(0)
	for _, e := range ends {
		second := int(e.at.Sub(first) / time.Second)
		bySecond[second]++
		last = max(last, second)
		if e.back.IsZero() {
			continue
		}
		gap := e.back.Sub(e.at)
		longest = max(longest, gap)
		for _, limit := range limits {
			if gap <= limit {
				byGap[limit]++
				break
			}
		}
	}
	text := strings.Builder{}
	text.WriteString("  second  closes\n")
	for second := 0; second <= last; second++ {
		if n := bySecond[second]; n > 0 {
			fmt.Fprintf(&text, "  %6d  %6d %s\n", second, n, strings.Repeat("#", (n+1)/2))
		}
	}
	text.WriteString("  without a socket for\n")
	for _, limit := range limits {
		if n := byGap[limit]; n > 0 {
			fmt.Fprintf(&text, "  to %6v  %6d\n", limit, n)
		}
	}
	fmt.Fprintf(&text, "  longest %v", longest.Round(time.Millisecond))
	return text.String()
}
