package charts

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// option is one field of app.Options.
type option struct {
	name, kind, fallback string
	enum                 []string
	required, secret     bool
}

func (o option) env() string {
	return "ROOMSPA_" + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
}

// readOptions reads the struct's tags from its source, so that this module does not import
// the main module. testdata/options.go links to the source, since `go test` does not track
// files outside of the module.
func readOptions(t *testing.T) map[string]option {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "testdata/options.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	options := map[string]option{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || !strings.HasSuffix(spec.Name.Name, "Options") && !strings.HasSuffix(spec.Name.Name, "TLS") {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			text, err := strconv.Unquote(field.Tag.Value)
			if err != nil {
				t.Fatalf("tag %s: %v", field.Tag.Value, err)
			}
			tag := reflect.StructTag(text)
			if tag.Get("name") == "" {
				continue // embedded, or not an option
			}
			o := option{name: tag.Get("name"), kind: types.ExprString(field.Type), fallback: tag.Get("default")}
			if list := tag.Get("enum"); list != "" {
				o.enum = strings.Split(list, ",")
			}
			_, o.required = tag.Lookup("required")
			_, o.secret = tag.Lookup("secret")
			options[o.name] = o
		}
		return false
	})
	if len(options) < 20 {
		t.Fatalf("only %d options found: has the struct moved?", len(options))
	}
	return options
}
