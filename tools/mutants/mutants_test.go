package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

//go:generate go test . -run Golden -update

var update = flag.Bool("update", false, "write the table in docs/guarantees.md anew")

// table returns the mutants as a Markdown table.
func table() string {
	var b strings.Builder
	b.WriteString("| mutant | breaks | effect | tests that must fail |\n| --- | --- | --- | --- |\n")
	for _, m := range mutants {
		dir, tests := "", ""
		for _, t := range m.tests {
			switch {
			case t.dir == dir:
				tests += ", "
			case dir != "":
				tests += "; "
			}
			if t.dir != dir {
				tests += "`" + t.dir + "`: "
			}
			tests += "`" + t.name + "`"
			dir = t.dir
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.guarantee, m.effect, tests)
	}
	return b.String()
}

func TestGoldenTableInGuarantees(t *testing.T) {
	t.Parallel()
	const (
		path  = "../../docs/guarantees.md"
		begin = "<!-- Generated from tools/mutants/rows.go by make gen. -->\n\n"
		end   = "\n<!-- end of generated table -->\n"
	)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(text), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s does not contain %q and %q", path, begin, end)
	}
	if old == table() {
		return
	}
	if !*update {
		t.Fatalf("the table in %s does not match rows.go: run make gen\ngot:\n%s\nwant:\n%s", path, old, table())
	}
	if err := os.WriteFile(path, []byte(head+begin+table()+end+tail), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range mutants {
		if seen[m.name] {
			t.Errorf("two mutants are named %s", m.name)
		}
		if seen[m.name] = true; len(m.tests) == 0 {
			t.Errorf("%s has no tests", m.name)
		}
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, old, with string
		want            string // "" if it must fail
	}{
		{"a b c", "b", "x", "a x c"},
		{"a b c", "d", "x", ""},
		{"a b b", "b", "x", ""},
		{"a b c", "b", "b", ""},
	} {
		got, err := replace(c.text, c.old, c.with)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("replace(%q, %q, %q) = %q, %v; want %q", c.text, c.old, c.with, got, err, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	failed := errors.New("exit status 1")
	for _, c := range []struct {
		name, output string
		err          error
		how          string
		caught       bool
	}{
		{"passes", "PASS\n", nil, "**survives**", false},
		{"fails", "--- FAIL: TestA (0.00s)\n    a_test.go:3: got 1|2\nFAIL\n", failed, `a_test.go:3: got 1\|2`, true},
		{"fails in a subtest", "--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/b (0.00s)\n        a_test.go:3: no\nFAIL\n", failed, "a_test.go:3: no", true},
		{"panics", "--- FAIL: TestA (0.00s)\n    a_test.go:3: log\npanic: nil\n", failed, "**ends without an assertion**", false},
		{"exits", "FAIL\n", failed, "**ends without an assertion**", false},
	} {
		if how, caught := judge(test{"a", "TestA"}, c.output, c.err); how != c.how || caught != c.caught {
			t.Errorf("%s: got %q, %v; want %q, %v", c.name, how, caught, c.how, c.caught)
		}
	}
}
