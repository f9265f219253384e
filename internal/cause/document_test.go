package cause_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/cause"
)

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

// A column of the table of causes. What most rows have in common stands once above the table.
type column struct {
	title, intro string
	of           func(cause.Entry) string
}

var columns = []column{
	{"the client sees", "Usually the client sees:", func(e cause.Entry) string { return cell(e.Client) }},
	{"log", "The usual log line is", func(e cause.Entry) string { return code(general(e, e.Log)) }},
	{"metric", "The usual metric is", func(e cause.Entry) string { return code(general(e, e.Metric)) }},
}

// general puts a placeholder where a text has the word of the cause, so that rows that differ
// only in it are the same.
func general(e cause.Entry, text string) string {
	text = strings.ReplaceAll(text, e.Cause, "<cause>")
	if label, ok := strings.CutPrefix(e.Cause, "postgres_"); ok {
		text = strings.ReplaceAll(text, `"`+label+`"`, `"<cause without postgres_>"`)
	}
	return text
}

// causes returns a section for each chapter.
func causes() string {
	var chapters []string
	for _, c := range cause.Chapters() {
		var b strings.Builder
		fmt.Fprintf(&b, "### %s\n\n%s\n", c.Title, c.About)
		titles, cells := []string{"cause", "means"}, make([][]string, len(c.Rows))
		for _, col := range columns {
			common := usual(c.Rows, col.of)
			if common != "" {
				fmt.Fprintf(&b, "\n%s %s\n", col.intro, strings.TrimSuffix(common, ".")+".")
			}
			if !slices.ContainsFunc(c.Rows, func(e cause.Entry) bool { return rest(col.of(e), common) != "" }) {
				continue
			}
			titles = append(titles, col.title)
			for i, e := range c.Rows {
				cells[i] = append(cells[i], strings.ReplaceAll(rest(col.of(e), common), "<cause>", e.Cause))
			}
		}
		titles = append(titles, "what to do")
		fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(titles, " | "), strings.Repeat(" --- |", len(titles)))
		for i, e := range c.Rows {
			row := slices.Concat([]string{code(e.Cause), cell(e.Means)}, cells[i], []string{cell(e.Cure)})
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
		chapters = append(chapters, b.String())
	}
	return strings.Join(chapters, "\n")
}

// usual returns the text with which more than half of the rows begin, or "".
func usual(rows []cause.Entry, of func(cause.Entry) string) string {
	for _, e := range rows {
		n := 0
		for _, o := range rows {
			if of(o) == of(e) || strings.HasPrefix(of(o), of(e)+" ") {
				n++
			}
		}
		if of(e) != "" && n > 1 && 2*n > len(rows) {
			return of(e)
		}
	}
	return ""
}

// rest returns what a cell says beyond the usual text: nothing, how it goes on, or another text.
func rest(text, usual string) string {
	switch {
	case text == usual:
		return ""
	case text == "":
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
