package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTheLogReferenceHasEveryLine reads the log lines from the code, up to a colon or the first
// part that varies, and expects each of them in the log reference.
func TestTheLogReferenceHasEveryLine(t *testing.T) {
	t.Parallel()
	files := repository(t)
	_, reference, found := strings.Cut(files["docs/operating.md"], "\n## Log lines\n")
	if !found {
		t.Fatal("docs/operating.md has no log reference")
	}
	lines := 0
	for name, text := range files {
		if !strings.HasPrefix(name, "internal/") || strings.HasSuffix(name, "_test.go") || !strings.HasSuffix(name, ".go") || notServing.MatchString(name) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if line := logLine(n); line != "" {
				if lines++; !strings.Contains(reference, line) {
					t.Errorf("%s logs %q, which is not in the log reference of docs/operating.md", name, line)
				}
			}
			return true
		})
	}
	if lines < 80 {
		t.Errorf("only %d log lines were found: the test looks in the wrong place", lines)
	}
}

var (
	notServing = regexp.MustCompile(`^internal/(tool|testkit)/`)
	// logs are the functions that write a log line.
	logs = regexp.MustCompile(`^(Info|Warn|Error|Debug|Note)(Context)?$|^Component$|^write$`)
	// sentence is how a log line begins, in contrast to a component or the name of a field.
	sentence = regexp.MustCompile(`^[A-Z][A-Za-z-]+ [a-z]`)
)

// logLine returns the constant beginning of the line that a node logs, or "". A rejection of a
// handshake has its line in the field Line.
func logLine(n ast.Node) string {
	var args []ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.SelectorExpr); ok && logs.MatchString(f.Sel.Name) {
			args = n.Args
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Line" {
			args = []ast.Expr{n.Value}
		}
	}
	for _, a := range args {
		if text := beginning(a); sentence.MatchString(text) {
			return text
		}
	}
	return ""
}

// beginning returns the constant beginning of a text: of a literal, a sum, or a format.
func beginning(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		text, _, _ = strings.Cut(text, "%")
		text, _, _ = strings.Cut(text, ": ")
		return strings.TrimRight(text, " :(\"")
	case *ast.BinaryExpr:
		return beginning(e.X)
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" {
			return beginning(e.Args[0])
		}
	}
	return ""
}
