package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMetricsAreThoseOfTheirDocument holds docs/metrics.md to the code: each name
// with its type and its labels, in both directions. The code is read and not run,
// since a registry shows nothing of a metric with labels that was never counted.
func TestMetricsAreThoseOfTheirDocument(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(metricsInCode(t), metricsInDocument(t)); diff != "" {
		t.Errorf("docs/metrics.md does not say what the code registers (-code +document):\n%s", diff)
	}
}

// TestAReplicaShowsDocumentedMetricsOnly looks at the page of a replica that has
// met nobody yet: what is registered in a way that the test above does not see is
// seen here.
func TestAReplicaShowsDocumentedMetricsOnly(t *testing.T) {
	t.Parallel()
	documented := metricsInDocument(t)
	a, err := New(Options{
		DatabaseURL: "postgres://localhost/none", DatabaseMaxConnections: 16, RedisURL: "redis://localhost",
		JWTSecrets: []string{strings.Repeat("s", 32)}, SoftLimit: 1, HardLimit: 1, AddressShare: 1, MaxHandshakes: 1,
		MaxMessageBytes: 1024, MaxMessageLength: 1, MessageRate: 1, MessageBurst: 1, PingInterval: time.Second, PongTimeout: time.Second,
		WriteTimeout: time.Second, PositionTTL: time.Second, LoginConcurrency: 1, LoginPerAccountAddress: 1, LoginPerAddress: 1, LoginPerAccount: 1, AccessTokenTTL: time.Minute, RefreshTokenTTL: time.Hour,
		FlushTimeout: time.Second,
	}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.stop() })
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	page := httptest.NewRecorder()
	a.opsHandler().ServeHTTP(page, r)
	ours := 0
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(page.Body.String(), -1) {
		if strings.HasPrefix(m[1], "go_") || strings.HasPrefix(m[1], "process_") {
			continue
		}
		ours++
		if kind, _, _ := strings.Cut(documented[m[1]], " "); kind != m[2] {
			t.Errorf("%s is a %s on the page, and %q in docs/metrics.md", m[1], m[2], kind)
		}
	}
	if ours == 0 {
		t.Error("the page has no metric of ours")
	}
	requireValues(t, page.Body.String())
}

// requireValues checks that docs/metrics.md names the values of labels that a replica shows from the start.
func requireValues(t *testing.T, page string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, series := range regexp.MustCompile(`(?m)^(roomspa_[a-z_]+)\{(.*)\} `).FindAllStringSubmatch(page, -1) {
		row := regexp.MustCompile("(?m)^\\| `" + series[1] + "`.*$").FindString(string(text))
		for _, label := range regexp.MustCompile(`([a-z]+)="([a-z_]+)"`).FindAllStringSubmatch(series[2], -1) {
			if seen++; row != "" && !strings.Contains(row, label[2]) {
				t.Errorf("%s: docs/metrics.md does not have %s", series[1], label[0])
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d values were found: the test looks in the wrong place", seen)
	}
}

// metricsInDocument returns "type label label" by name, as the tables have it.
func metricsInDocument(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `(roomspa_[a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\|")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if found[m[1]] != "" {
			t.Errorf("docs/metrics.md has %s twice", m[1])
		}
		found[m[1]] = typed(m[2], regexp.MustCompile("[a-z_]+").FindAllString(m[3], -1))
	}
	return found
}

func typed(kind string, labels []string) string {
	slices.Sort(labels)
	return strings.TrimSpace(kind + " " + strings.Join(labels, " "))
}

// metricsInCode returns the same of the code: of each call that makes a metric of
// Prometheus, or one of the helpers gauge and counter that stand for it.
func metricsInCode(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if name, kind, labels := made(call); name != "" {
					found[name] = typed(kind, labels)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var maker = regexp.MustCompile(`^(?:New)?([Cc]ounter|[Gg]auge|[Hh]istogram|[Ss]ummary)(?:Vec|Func)?$`)

// made takes a call apart. The name is empty where the call makes no metric.
func made(call *ast.CallExpr) (name, kind string, labels []string) {
	var function string
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		function = f.Sel.Name
	case *ast.Ident:
		function = f.Name
	}
	m := maker.FindStringSubmatch(function)
	if m == nil || len(call.Args) == 0 {
		return "", "", nil
	}
	switch first := call.Args[0].(type) {
	case *ast.BasicLit:
		name = unquoted(first)
	case *ast.CompositeLit:
		for _, e := range first.Elts {
			field, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			switch key, _ := field.Key.(*ast.Ident); key.Name {
			case "Name":
				name = unquoted(field.Value)
			case "ConstLabels":
				constant, _ := field.Value.(*ast.CompositeLit)
				for _, l := range constant.Elts {
					labels = append(labels, unquoted(l.(*ast.KeyValueExpr).Key))
				}
			}
		}
	}
	if last, ok := call.Args[len(call.Args)-1].(*ast.CompositeLit); ok && len(call.Args) > 1 {
		for _, l := range last.Elts {
			labels = append(labels, unquoted(l))
		}
	}
	if !strings.HasPrefix(name, "roomspa_") {
		return "", "", nil
	}
	return name, strings.ToLower(m[1]), labels
}

func unquoted(e ast.Expr) string {
	text, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	s, _ := strconv.Unquote(text.Value) // what is no text has no name
	return s
}
