package roomspajs_test

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestMain(m *testing.M) { world.Main(m) }

// TestAnAppOf30LinesChatsThroughTwoKills lets the example, which knows nothing of connections, chat with itself while both
// replicas are killed, one after the other.
func TestAnAppOf30LinesChatsThroughTwoKills(t *testing.T) {
	t.Parallel()
	node := node(t)
	w, program := world.New(t), world.Program(t)
	a, b := w.Serve(t, "a", program), w.Serve(t, "b", program)
	url := "http://" + world.Balance(t, a.Addr(), b.Addr())
	customer, therapist := startApp(t, node, url, 1), startApp(t, node, url, 2)
	customer.say(t, "hello")
	therapist.say(t, "hello")
	want := []string{"customer: hello", "therapist: hello"}
	both := func(what string) {
		t.Helper()
		for _, p := range []*app{customer, therapist} {
			world.Eventually(t, what, func() (bool, any) {
				lines := p.lines()
				return len(lines) == len(want), lines
			})
		}
	}
	both("both have said hello")

	const rounds = 30
	for i := range rounds {
		switch i {
		case rounds / 3:
			kill(t, a)
		case rounds / 2:
			if err := a.Process.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			a.WaitReady(t)
		case rounds * 2 / 3:
			kill(t, b)
		}
		customer.say(t, fmt.Sprintf("customer %d", i))
		therapist.say(t, fmt.Sprintf("therapist %d", i))
		want = append(want, "", "") // in no order between the two
		if i%5 != 0 {
			continue // some are written before the last ones are stored
		}
		both("everything has arrived")
	}
	both("everything has arrived")
	if got, same := customer.lines(), therapist.lines(); strings.Join(got, "\n") != strings.Join(same, "\n") {
		t.Errorf("the customer sees\n%s\nand the therapist\n%s", strings.Join(got, "\n"), strings.Join(same, "\n"))
	}
	next := map[string]int{}
	for i, line := range customer.lines()[2:] {
		var seq, n int
		var role, name string
		if _, err := fmt.Sscanf(line, "%d %s %s %d", &seq, &role, &name, &n); err != nil || seq != i+3 || role != name+":" || n != next[name] {
			t.Errorf("line %d is %q (%v), want seq %d and the message %d of its sender", i+3, line, err, i+3, next[name])
		}
		next[name]++
	}
	for _, p := range []*app{customer, therapist} {
		if text := p.errors.String(); text != "" {
			t.Errorf("an app says %q", text)
		}
	}
}

func kill(t *testing.T, r *world.Replica) {
	t.Helper()
	if err := r.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// An app is a process of the example.
type app struct {
	in          io.Writer
	out, errors world.Journal
}

func startApp(t *testing.T, node, url string, user int) *app {
	t.Helper()
	p := &app{}
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context())) // the app ends after the test
	command := exec.CommandContext(ctx, node, "--import", "./test/platform.js", "example.mjs",
		url, fmt.Sprintf("user%d@example.com", user), world.Password, "1", "2")
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, command.Stdout, command.Stderr = in, &p.out, &p.errors
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // the app exits at the end of its input
		defer kill()
		defer time.AfterFunc(world.Limit, kill).Stop()
		if err := command.Wait(); err != nil {
			t.Errorf("the app of user %d: %v\n%s", user, err, p.errors.String())
		}
	})
	return p
}

func (p *app) say(t *testing.T, text string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, text); err != nil {
		t.Fatal(err)
	}
}

func (p *app) lines() []string {
	return strings.Split(strings.TrimSuffix(p.out.String(), "\n"), "\n")
}
