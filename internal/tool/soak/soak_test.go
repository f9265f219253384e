package soak

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/tool/judge"
)

// An output calls a function, if it has one, when a message was acknowledged.
type output struct {
	then func()

	mu  sync.Mutex
	buf bytes.Buffer
}

var someAcknowledged = regexp.MustCompile(` [1-9][0-9]* acknowledgements`)

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.then != nil && someAcknowledged.Match(p) {
		o.then()
	}
	return o.buf.Write(p)
}

func (o *output) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Split(strings.TrimSuffix(o.buf.String(), "\n"), "\n")
}

func TestASoakThatIsInterruptedLeavesNothingButItsHistories(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &output{then: cancel}
	dir := filepath.Join(t.ArtifactDir(), "histories")
	good, err := Run(ctx, Options{
		For: time.Hour, Seed: 7, Replicas: 2, Clients: 2 * roomSize, Classic: 2, Rate: 50, Dir: dir, Out: out,
		Command: []string{"/usr/bin/env", replicaVariable + "=1", self},
	})
	if err != nil || good {
		t.Errorf("good: %v, error: %v", good, err)
	}
	lines := out.lines()
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "soak: ") || !strings.HasSuffix(last, " reconnects, 0 violations") || strings.HasPrefix(last, "soak: 0 messages") {
		t.Errorf("the last line is %q", last)
	}
	if lines[len(lines)-3] != "soak: failed: it was interrupted" {
		t.Errorf("the line before the counts is %q", lines[len(lines)-3])
	}

	again := &output{}
	if good, err := Check(dir, again); err != nil || !good || len(again.lines()) != 2 || again.lines()[1] != last {
		t.Errorf("checked again: %v, %v, %q, want %q", good, err, again.lines(), last)
	}
	if _, err := Run(t.Context(), Options{Dir: dir, Out: again}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second run in the same directory: %v", err)
	}
}

func TestNothingIsLostWhenASoakFailsOver(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := &output{}
	o := Options{
		For: 20 * time.Second, Seed: 7, Replicas: 2, Clients: roomSize, Rate: 50, Only: []string{string(pgFailover), string(redisFailover)},
		Dir: filepath.Join(t.ArtifactDir(), "histories"), Out: out, Command: []string{"/usr/bin/env", replicaVariable + "=1", self},
	}
	if good, err := Run(t.Context(), o); err != nil || !good {
		t.Errorf("good: %v, error: %v; %s", good, err, strings.Join(out.lines(), "\n"))
	}
	v, err := judge.Judge(os.DirFS(o.Dir))
	if err != nil {
		t.Fatal(err)
	}
	if v.Faults[string(pgFailover)] == 0 || v.Faults[string(redisFailover)] == 0 || v.Messages < 200 {
		t.Errorf("that shows nothing: %d messages, %v", v.Messages, v.Faults)
	}
}

func TestCheckShowsTheHistoryOfTheFirstViolation(t *testing.T) {
	t.Parallel()
	out := &output{}
	good, err := Check("../judge/testdata/lost", out)
	if err != nil || good {
		t.Errorf("good: %v, error: %v", good, err)
	}
	lines := out.lines()
	if last := lines[len(lines)-1]; last != "soak: 8 messages, 2 faults, 2 reconnects, 1 violations" {
		t.Errorf("the last line is %q", last)
	}
	if !strings.HasPrefix(lines[0], "lost: room 1/2, client therapist, seq 8") || !strings.Contains(strings.Join(lines, "\n"), "messages.jsonl:8: {") {
		t.Errorf("got:\n%s", strings.Join(lines, "\n"))
	}
}

func TestALongRunMustHaveHadEnoughOfEverything(t *testing.T) {
	t.Parallel()
	enough := func() *judge.Verdict {
		v := &judge.Verdict{Messages: minMessages, Reconnects: minReconnects, Faults: map[string]int{}}
		for _, k := range kinds {
			v.Faults[string(k.kind)] = minPerKind
		}
		return v
	}
	if list := checkVolume(enough()); len(list) > 0 {
		t.Errorf("enough is too quiet: %q", list)
	}
	for name, change := range map[string]func(*judge.Verdict){
		"messages":   func(v *judge.Verdict) { v.Messages-- },
		"reconnects": func(v *judge.Verdict) { v.Reconnects-- },
		"faults":     func(v *judge.Verdict) { clear(v.Faults) },
		"pg kill":    func(v *judge.Verdict) { v.Faults[string(pgKill)]-- },
	} {
		v := enough()
		if change(v); len(checkVolume(v)) == 0 {
			t.Errorf("%s: too few are enough", name)
		}
	}
}
