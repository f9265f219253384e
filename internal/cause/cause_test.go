package cause_test

import (
	"flag"
	"os"
	"regexp"
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
	patterns := map[string][]string{
		`room\.Invalid\{Code: "([a-z_0-9]+)"`: {"../frame/client.go", "../chat/save.go", "../location/consumer.go", "../endpoint/base.go"},
		`Code: "([a-z_0-9]+)", Title`:         {"../handshake/upgrade.go"},
		`Reason: "([a-z_0-9]+[a-z0-9])"`: {
			"../handshake/path.go", "../handshake/refuse.go", "../handshake/steps.go", "../handshake/token.go", "../endpoint/base.go", "../endpoint/rejection.go",
			"../chat/endpoint.go", "../echo/echo.go", "../location/consumer.go", "../session/reader.go", "../session/writer.go", "../session/token.go",
		},
		`invalid\("([a-z_0-9]+)", "`:  {"../auth/claims.go", "../auth/keys.go", "../auth/token.go", "../auth/request.go", "../auth/jwks.go"},
		`keySetError\{"([a-z_0-9]+)"`: {"../auth/jwks.go"},
		`"cause", "([a-z_0-9]+)"`:     {"../auth/jwks.go", "../postgres/deploymentlog.go"},
	}
	for pattern, files := range patterns {
		seen := 0
		for _, path := range files {
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
