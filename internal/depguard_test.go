package internal_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

//go:generate go test . -run Golden -update

var update = flag.Bool("update", false, "write the depguard rules in .golangci.yml anew")

// depguard returns the import table as rules for the linter depguard: one for each
// package and one for each library. In allow and deny a pattern is a prefix, unless
// it ends with $. If patterns of both match, the longer one decides. The names of
// rules must not contain dots.
func depguard() string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(packages)) {
		var allow []string
		for _, q := range slices.Sorted(slices.Values(slices.Concat(packages[p], everyone))) {
			allow = append(allow, path.Join(module, "internal", q)+"$")
		}
		rule(&b, strings.TrimPrefix(p, "../"), quote(glob(p)), "["+strings.Join(allow, ", ")+"]", module)
	}
	for _, l := range slices.Sorted(maps.Keys(libraries)) {
		files := `"**/{cmd,internal}/**", ` + quote("!"+glob(libraries[l]...))
		if strings.HasPrefix(libraries[l][0], "!") {
			files = quote(glob(libraries[l]...))
		}
		deny, below := strings.CutSuffix(l, "/...")
		if !below {
			deny += "$"
		}
		rule(&b, strings.ReplaceAll(l, ".", "_"), files, "[]", deny)
	}
	return b.String()
}

func rule(b *strings.Builder, name, files, allow, deny string) {
	fmt.Fprintf(b, `        %q:
          list-mode: lax
          files: [%s, "!$test"]
          allow: %s
          deny: [{pkg: %s, desc: see internal/imports_test.go}]
`, name, files, allow, deny)
}

// glob returns the pattern for the files of the packages.
func glob(patterns ...string) string {
	var dirs []string
	for _, p := range patterns {
		dir, below := strings.CutSuffix(path.Join("internal", strings.TrimPrefix(p, "!")), "/...")
		if below {
			dirs = append(dirs, dir+"/**")
		} else {
			dirs = append(dirs, dir+"/*")
		}
	}
	return "**/{" + strings.Join(dirs, ",") + "}.go"
}

func quote(s string) string { return `"` + s + `"` }

func TestGoldenDepguardRules(t *testing.T) {
	t.Parallel()
	const (
		file  = "../.golangci.yml"
		begin = "        # Generated from internal/imports_test.go by make gen.\n"
		end   = "        # End of the generated rules.\n"
	)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(text), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	switch {
	case !ok1 || !ok2:
		t.Fatalf("%s does not contain %q and %q", file, begin, end)
	case old == depguard():
	case *update:
		if err := os.WriteFile(file, []byte(head+begin+depguard()+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the depguard rules in %s do not match internal/imports_test.go: run make gen", file)
	}
}
