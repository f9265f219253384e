package cause_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/frame"
)

//go:generate go test . -run Golden -update

var update = flag.Bool("update", false, "update the generated document")

func TestEveryCloseReasonHasAdvice(t *testing.T) {
	t.Parallel()
	for _, r := range frame.Reasons {
		if _, ok := cause.Find(r.Word); !ok {
			t.Errorf("there is no advice for the close reason %s", r.Word)
		}
	}
}

// TestEveryWordOfTheSourcesHasAdvice reads the words where they are written: codes
// of error frames and of problem documents, and the sub-causes of tokens.
func TestEveryWordOfTheSourcesHasAdvice(t *testing.T) {
	t.Parallel()
	patterns := map[string][]string{ // and the packages
		`room\.Invalid\{(?:[^{}"]*Code: )?"([a-z_0-9]+)"`: {"frame", "chat", "location", "inbox", "endpoint", "room", "echo", "dialect"},
		`Code: "([a-z_0-9]+)", Title`:                     {"handshake"},
		`Reason: "([a-z_0-9]+[a-z0-9])"`:                  {"handshake", "endpoint", "chat", "echo", "location", "inbox", "session", "dialect"},
		`invalid\("([a-z_0-9]+)", "`:                      {"auth"},
		`keySetError\{"([a-z_0-9]+)"`:                     {"auth"},
		`"cause", "([a-z_0-9]+)"`:                         {"auth", "postgres"},
	}
	for pattern, packages := range patterns {
		seen := 0
		for _, path := range sources(t, packages) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
				seen++
				if _, ok := cause.Find(m[1]); !ok {
					t.Errorf("%s has the word %s, and there is no advice for it", path, m[1])
				}
			}
		}
		if seen == 0 {
			t.Errorf("%s is found nowhere: the test looks in the wrong place", pattern)
		}
	}
}

// sources returns the files of packages of internal, without tests.
func sources(t *testing.T, packages []string) (all []string) {
	t.Helper()
	for _, p := range packages {
		files, err := filepath.Glob("../" + p + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", p, files, err)
		}
		all = append(all, slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })...)
	}
	return all
}

func TestEveryAdviceIsWhole(t *testing.T) {
	t.Parallel()
	word, seen := regexp.MustCompile(`^[a-z][a-z0-9_]*$`), map[string]bool{}
	for a := range cause.All() {
		switch {
		case !word.MatchString(a.Cause):
			t.Errorf("%q is no word", a.Cause)
		case seen[a.Cause]:
			t.Errorf("%s stands there twice", a.Cause)
		case !strings.HasSuffix(a.Means, ".") || a.Client == "" || a.Cure == "":
			t.Errorf("%s lacks what it means, what the client sees, or the cure", a.Cause)
		}
		seen[a.Cause] = true
	}
	if a, ok := cause.Find("no_such_word"); ok || cause.Cure("no_such_word") != "" {
		t.Errorf("there is advice for a word that does not exist: %v", a)
	}
}

func TestSymptomsLeadToCauses(t *testing.T) {
	t.Parallel()
	for _, s := range cause.Symptoms() {
		for _, word := range s.Causes {
			if _, ok := cause.Find(word); !ok {
				t.Errorf("%s leads to %s, which is no cause", s.Sees, word)
			}
		}
		if !strings.HasPrefix(s.Command, "roomspa ") {
			t.Errorf("%s leads to no command", s.Sees)
		}
	}
}
