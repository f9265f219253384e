package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// timeout of one test. It only ends tests that hang.
const timeout = "10m"

// A runner builds and runs tests with and without mutants.
type runner struct {
	root   string // of the repository, absolute
	dir    string // for overlays and test binaries
	stderr io.Writer
}

// baseline runs the tests of list without a mutant. It returns an error unless
// all pass.
func (r runner) baseline(ctx context.Context, list []mutant) error {
	passed := map[test]bool{}
	for _, m := range list {
		for _, t := range m.tests {
			if passed[t] {
				continue
			}
			binary, err := r.build(ctx, "baseline", "", t)
			if err != nil {
				return err
			}
			out, err := r.run(ctx, binary, t, "-test.v")
			if err != nil {
				return fmt.Errorf("%s %s fails without a mutant: %w\n%s", t.dir, t.name, err, out)
			}
			if !strings.Contains(out, "--- PASS: "+t.name+" ") {
				return fmt.Errorf("%s %s did not run:\n%s", t.dir, t.name, out)
			}
			passed[t] = true
		}
	}
	return nil
}

// try runs the tests of m with the mutant. It writes a row of the result table for
// each test to w, and returns the number of tests that did not catch the mutant.
func (r runner) try(ctx context.Context, w io.Writer, m mutant) (survived int, err error) {
	overlay, err := m.overlay(r.root, r.dir)
	if err != nil {
		return 0, err
	}
	for _, t := range m.tests {
		binary, err := r.build(ctx, m.name, overlay, t)
		if err != nil {
			return 0, fmt.Errorf("mutant %s: %w", m.name, err)
		}
		out, err := r.run(ctx, binary, t)
		how, caught := judge(t, out, err)
		if !caught {
			survived++
			fmt.Fprintln(r.stderr, out)
		}
		fmt.Fprintf(w, "| %s | %s %s | %s |\n", m.name, t.dir, t.name, how)
	}
	return survived, nil
}

// build returns the test binary of t's package. The binaries of one variant are
// built once.
func (r runner) build(ctx context.Context, variant, overlay string, t test) (binary string, err error) {
	binary = filepath.Join(r.dir, variant+"-"+strings.ReplaceAll(t.dir, "/", "-")+".test")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	out, err := command(ctx, r.root, "go", "test", "-overlay", overlay, "-c", "-o", binary, "./"+t.dir)
	if err != nil {
		return "", fmt.Errorf("go test -c ./%s: %w\n%s", t.dir, err, out)
	}
	return binary, nil
}

func (r runner) run(ctx context.Context, binary string, t test, flags ...string) (output string, err error) {
	pattern := "^" + strings.ReplaceAll(t.name, "/", "$/^") + "$"
	return command(ctx, filepath.Join(r.root, t.dir), binary, append(flags, "-test.run", pattern, "-test.timeout", timeout)...)
}

// assertion matches the line of a failed assertion or of t.Log.
var assertion = regexp.MustCompile(`(?m)^ +(\w+\.go:\d+: .*)$`)

// judge returns the first failed assertion of a test that ran with a mutant. The
// mutant is not caught by a test that passes, panics or exits.
func judge(t test, output string, err error) (how string, caught bool) {
	function, _, _ := strings.Cut(t.name, "/")
	switch line := assertion.FindStringSubmatch(output); {
	case err == nil:
		return "**survives**", false
	case line == nil, strings.Contains(output, "\npanic: "), !strings.Contains(output, "--- FAIL: "+function+" "):
		return "**ends without an assertion**", false
	default:
		return short(strings.ReplaceAll(line[1], "|", `\|`)), true
	}
}

// short returns at most 120 characters of s.
func short(s string) string {
	if r := []rune(s); len(r) > 120 {
		return string(r[:119]) + "…"
	}
	return s
}

func command(ctx context.Context, dir, name string, args ...string) (output string, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}
