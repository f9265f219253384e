package internal_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A layer is one group of packages of the import table, by the comment above it.
type layer struct {
	title    string
	packages []string
}

// layers reads the groups from the source of the import table.
func layers(t *testing.T) (all []layer) {
	t.Helper()
	source, err := os.ReadFile("imports_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(source), "var packages = ")
	table, _, _ = strings.Cut(table, "\n}\n")
	comment, key := regexp.MustCompile(`^\t// ([\w ]+)`), regexp.MustCompile(`^\t"([^"]+)":`)
	for line := range strings.Lines(table) {
		if m := comment.FindStringSubmatch(line); m != nil {
			all = append(all, layer{title: m[1]})
		} else if m := key.FindStringSubmatch(line); m != nil {
			all[len(all)-1].packages = append(all[len(all)-1].packages, m[1])
		}
	}
	return all
}

// picture draws the layers and what they import of each other. It leaves out the imports of the
// vocabulary, which all layers have, and those of app and cmd, which import nearly everything.
func picture(all []layer) string {
	var b strings.Builder
	b.WriteString("```mermaid\nflowchart TD\n")
	for i, l := range all {
		fmt.Fprintf(&b, "  l%d[\"<b>%s</b><br/>%s\"]\n", i, l.title, strings.ReplaceAll(strings.Join(l.packages, ", "), "../", ""))
	}
	for i, from := range all {
		var to []string
		for j, l := range all {
			uses := func(p string) bool {
				return slices.ContainsFunc(l.packages, func(q string) bool { return slices.Contains(packages[p], q) })
			}
			few := !slices.Contains(from.packages, "app") && !slices.Contains(from.packages, "../cmd/roomspa") && !slices.Contains(l.packages, "room")
			if i != j && few && slices.ContainsFunc(from.packages, uses) {
				to = append(to, fmt.Sprintf("l%d", j))
			}
		}
		if len(to) > 0 {
			fmt.Fprintf(&b, "  l%d --> %s\n", i, strings.Join(to, " & "))
		}
	}
	return b.String() + "```\n"
}

// TestGoldenLayout holds the picture in docs/developing.md to the import table.
func TestGoldenLayout(t *testing.T) {
	t.Parallel()
	const (
		path  = "../docs/developing.md"
		begin = "<!-- Generated from internal/imports_test.go by go generate ./internal. -->\n\n"
		end   = "\n<!-- end of generated part -->\n"
	)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	old, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s does not contain %q and %q", path, begin, end)
	}
	drawn := picture(layers(t))
	if old != drawn && !*update {
		t.Fatalf("the picture in %s does not match the import table: run go generate ./internal\ngot:\n%s\nwant:\n%s", path, old, drawn)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+drawn+end+tail), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
}
