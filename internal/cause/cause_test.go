package cause_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// TestGoldenTroubleshooting holds the generated parts of docs/troubleshooting.md to the table.
func TestGoldenTroubleshooting(t *testing.T) {
	t.Parallel()
	const path = "../../docs/troubleshooting.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for name, part := range map[string]string{"symptoms": symptoms(), "causes": causes()} {
		begin := "<!-- Generated from internal/cause by go generate ./internal/cause: " + name + ". -->\n\n"
		head, rest, found := strings.Cut(want, begin)
		_, tail, ended := strings.Cut(rest, generatedEnd)
		if !found || !ended {
			t.Fatalf("%s does not contain %q and %q after it", path, begin, generatedEnd)
		}
		want = head + begin + part + generatedEnd + tail
	}
	if diff := cmp.Diff(string(text), want); diff != "" && !*update {
		t.Errorf("%s is out of date; if this is meant, run go generate ./internal/cause (-want +got):\n%s", path, diff)
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const generatedEnd = "\n<!-- end of generated part -->\n"

func symptoms() string {
	var b strings.Builder
	b.WriteString("| people see | run | usual causes, the most frequent first |\n| --- | --- | --- |\n")
	for _, s := range cause.Symptoms() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(s.Sees), code(s.Command), words(s.Causes))
	}
	return b.String()
}

// causes returns a section for each chapter. What most rows of a column have in common stands
// once above the table; a cell that is empty or begins with … goes on from there.
func causes() string {
	var chapters []string
	for _, c := range cause.Chapters() {
		columns := []struct {
			title, intro string
			of           func(cause.Entry) string
			usual        string
		}{
			{title: "the client sees", intro: "Usually the client sees:", of: func(e cause.Entry) string { return cell(e.Client) }},
			{title: "log", intro: "The usual log line is", of: func(e cause.Entry) string { return code(e.Log) }},
			{title: "metric", intro: "The usual metric is", of: func(e cause.Entry) string { return code(e.Metric) }},
		}
		var b strings.Builder
		fmt.Fprintf(&b, "### %s\n\n%s\n", c.Title, c.About)
		titles := []string{"cause", "means"}
		for i, column := range columns {
			columns[i].usual = usual(c.Rows, column.of)
			if u := columns[i].usual; u != "" {
				fmt.Fprintf(&b, "\n%s %s\n", column.intro, strings.TrimSuffix(u, ".")+".")
			}
			if slices.ContainsFunc(c.Rows, func(e cause.Entry) bool { return rest(column.of(e), columns[i].usual) != "" }) {
				titles = append(titles, column.title)
			}
		}
		titles = append(titles, "what to do")
		fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(titles, " | "), strings.Repeat(" --- |", len(titles)))
		for _, e := range c.Rows {
			cells := []string{code(e.Cause), cell(e.Means)}
			for _, column := range columns {
				if slices.Contains(titles, column.title) {
					cells = append(cells, rest(column.of(e), column.usual))
				}
			}
			fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(cells, " | "), cell(e.Cure))
		}
		chapters = append(chapters, b.String())
	}
	return strings.Join(chapters, "\n")
}

// usual returns the text with which more than half of the rows begin, or "".
func usual(rows []cause.Entry, of func(cause.Entry) string) string {
	for _, e := range rows {
		begin := func(o cause.Entry) bool { return of(o) == of(e) || strings.HasPrefix(of(o), of(e)+" ") }
		n := 0
		for _, o := range rows {
			if begin(o) {
				n++
			}
		}
		if of(e) != "" && n > 1 && 2*n > len(rows) {
			return of(e)
		}
	}
	return ""
}

// rest returns what a cell says beyond the usual text.
func rest(text, usual string) string {
	switch {
	case text == usual:
		return ""
	case text == "" && usual != "":
		return "none"
	case usual != "" && strings.HasPrefix(text, usual):
		return "…" + strings.TrimPrefix(text, usual)
	}
	return text
}

func words(all []string) string {
	var b []string
	for _, w := range all {
		b = append(b, code(w))
	}
	return strings.Join(b, ", ")
}

// cell writes what would be markup as it is.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "[", `\[`, "$", `\$`).Replace(s)
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
}
