// Package examples_test runs the programs of this directory.
package examples_test

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestMain(m *testing.M) { world.Main(m) }

// python returns a Python that is new enough and has the modules, or skips the test.
func python(t *testing.T, modules ...string) string {
	t.Helper()
	check := "import sys; assert sys.version_info >= (3, 10)\nimport " + strings.Join(append(modules, "json"), ", ")
	for _, name := range []string{"python3", "/usr/bin/python3"} { // Debian's packages are in the system's own
		if exec.CommandContext(t.Context(), name, "-c", check).Run() == nil {
			return name
		}
	}
	t.Skipf("needs Python 3.10 or later with %q: on Debian, apt-get install python3 python3-websockets", modules)
	return ""
}

// TestPythonRules runs the vectors of all clients against the rules of the Python client.
func TestPythonRules(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), python(t), "python/vectors.py").CombinedOutput()
	if err != nil {
		t.Errorf("vectors.py: %v\n%s", err, out)
	}
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.HasPrefix(line, "skip ") && !strings.HasSuffix(line, ": needs receipts") && !strings.HasSuffix(line, ": needs typing") &&
			!strings.HasSuffix(line, ": needs app_ping") {
			t.Errorf("examples/python/vectors.py: %s: if an example may lack this, add it to this test", line)
		}
	}
}

// TestPythonChatsThroughAKill lets two terminals chat while one of two replicas is killed.
func TestPythonChatsThroughAKill(t *testing.T) {
	t.Parallel()
	python := python(t, "websockets")
	w, program := world.New(t), world.Program(t)
	a, b := w.Serve(t, "a", program), w.Serve(t, "b", program)
	url := "http://" + world.Balance(t, a.Addr(), b.Addr())
	both := []*terminal{start(t, python, url, 1), start(t, python, url, 2)}
	const rounds = 10
	for i := range rounds {
		if i == rounds/2 {
			if err := a.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range both {
			p.say(t, fmt.Sprintf("message %d", i))
		}
		for _, p := range both {
			world.Eventually(t, "all messages have arrived", func() (bool, any) {
				lines := p.lines()
				return len(lines) == 2*(i+1), lines
			})
		}
	}
	lines := both[0].lines()
	if other := both[1].lines(); !slices.Equal(lines, other) {
		t.Errorf("the customer sees %q, and the therapist %q", lines, other)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, fmt.Sprint(i+1, " ")) {
			t.Errorf("line %d is %q, want seq %d", i, line, i+1)
		}
	}
	if !strings.Contains(both[0].errors.String()+both[1].errors.String(), `"type": "wait"`) {
		t.Error("nobody lost a socket: the test shows nothing")
	}
}

// A terminal is a process of chat.py.
type terminal struct {
	in          io.Writer
	out, errors world.Journal
}

func start(t *testing.T, python, url string, user int) *terminal {
	t.Helper()
	p := &terminal{}
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context())) // the process ends after the test
	command := exec.CommandContext(ctx, python, "python/chat.py", "--since", "0",
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
		_ = in.Close() // the process exits at the end of its input
		defer kill()
		defer time.AfterFunc(world.Limit, kill).Stop()
		if err := command.Wait(); err != nil {
			t.Errorf("the terminal of user %d: %v\n%s", user, err, p.errors.String())
		}
	})
	return p
}

func (p *terminal) say(t *testing.T, text string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, text); err != nil {
		t.Fatal(err)
	}
}

func (p *terminal) lines() []string {
	text := strings.TrimSuffix(p.out.String(), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
