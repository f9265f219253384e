package charts

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const schemaFile = "roomspa/values.schema.json"

func readSchema(t *testing.T) (schema map[string]any) {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// writeSchema writes the schema if -update is given. Tests that call it must not run in
// parallel.
func writeSchema(t *testing.T, schema map[string]any) {
	t.Helper()
	if !*update {
		return
	}
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(schemaFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSchemaDescribesTheValues checks that the schema has each value of values.yaml, with
// the comment above it as its description, and requires it.
func TestSchemaDescribesTheValues(t *testing.T) {
	text, err := os.ReadFile("roomspa/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	schema := readSchema(t)
	describe(t, "", document.Content[0], schema)
	writeSchema(t, schema)
}

func describe(t *testing.T, prefix string, values *yaml.Node, schema map[string]any) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	for i := 0; i < len(values.Content); i += 2 {
		key, value := values.Content[i], values.Content[i+1]
		name := prefix + key.Value
		property, ok := properties[key.Value].(map[string]any)
		if !ok {
			t.Errorf("the schema does not have %s", name)
			continue
		}
		if want := comment(key); want != "" && property["description"] != want {
			if !*update {
				t.Errorf("%s is described as %q in the schema, and as %q in values.yaml; run `go test . -update`", name, property["description"], want)
			}
			property["description"] = want
		}
		if value.Kind == yaml.MappingNode && property["properties"] != nil {
			describe(t, name+".", value, property)
		}
	}
}

// comment returns the text of the comment above a key, in one line.
func comment(key *yaml.Node) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(key.HeadComment, "#", "")), " ")
}
