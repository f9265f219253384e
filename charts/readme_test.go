package charts

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// TestREADMEListsTheValues checks the table of the README against values.yaml: each
// value, its default and the comment above it.
func TestREADMEListsTheValues(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("roomspa/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| value | default | description |\n| --- | --- | --- |\n")
	rows(&table, "", document.Content[0])

	const file, begin, end = "roomspa/README.md", "<!-- values: written by `go test . -update` -->\n", "<!-- end of values -->"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	got, after, ends := strings.Cut(rest, end)
	if !ok || !ends {
		t.Fatalf("%s has no markers for the table of values", file)
	}
	want := "\n" + table.String() + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s and values.yaml differ (-want +got); run `go test . -update`:\n%s", file, diff)
	}
}

func rows(table *strings.Builder, prefix string, values *yaml.Node) {
	for i := 0; i < len(values.Content); i += 2 {
		key, value := values.Content[i], values.Content[i+1]
		name := prefix + key.Value
		text := strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(comment(key))
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			if text != "" {
				fmt.Fprintf(table, "| **`%s`** | | %s |\n", name, text)
			}
			rows(table, name+".", value)
			continue
		}
		fmt.Fprintf(table, "| `%s` | `%s` | %s |\n", name, literal(value), text)
	}
}

// literal returns a default in one line.
func literal(value *yaml.Node) string {
	if value.Kind == yaml.ScalarNode {
		if value.Value == "" {
			return `""`
		}
		return value.Value
	}
	flow := *value
	flow.Style = yaml.FlowStyle
	text, err := yaml.Marshal(&flow)
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
