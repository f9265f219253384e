package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module   = "github.com/roomspa/roomspa/"
	internal = module + "internal/"
	// maxLines is the most that a file may have: beyond it, it is about two things.
	maxLines = 450
)

// mayImport is who may import what of ours, directly, beside the leaves. A
// package that is missing here is one that nobody has thought about.
var mayImport = map[string][]string{
	"room":            {},
	"story":           {"room"},
	"frame":           {"room"},
	"auth":            {"room"},
	"session":         {"frame"},
	"chat":            {"room", "frame"},
	"location":        {"room", "frame"},
	"revocation":      {"room", "frame"},
	"rebalance":       {"frame"},
	"fleet":           {"room"},
	"postgres":        {"room"},
	"redis":           {"room", "story"},
	"handshake":       {"room", "frame", "auth", "story", "session", "problem"},
	"api":             {"room", "frame", "auth", "story", "problem"},
	"ops":             {"room", "auth", "story", "problem"},
	"app":             {"room", "frame", "auth", "story", "session", "chat", "location", "revocation", "rebalance", "fleet", "postgres", "redis", "handshake", "api", "ops", "problem", "console", "idlecuts", "memory"},
	"tool/client":     {"room", "frame"},
	"tool/connect":    {"tool/client", "frame", "room"},
	"tool/diagnose":   {"room", "frame", "auth", "story", "tool/client"},
	"tool/bench":      {"room", "frame", "auth", "story", "tool/client"},
	"tool/adopt":      {"room", "auth", "postgres"},
	"tool/dev":        {"room", "auth", "postgres", "testkit/sandbox"},
	"testkit/sandbox": {},
	"tool/judge":      {"room", "frame", "tool/client"},

	"batch":    {},
	"cause":    {},
	"idlecuts": {},
	"logging":  {},
	"memory":   {},
	"problem":  {},
	"console":  {},

	// What only tests have a use for.
	"testkit/netfault":            {},
	"testkit/sandbox/sandboxtest": {"testkit/sandbox"},
	"tool/soak":                   {"room", "frame", "auth", "tool/client", "postgres", "tool/judge", "testkit/sandbox", "testkit/netfault"},
}

// leaves is what everybody may import.
var leaves = []string{"batch", "cause", "logging"}

// hidden is libraries and parts of the standard one that only some may import.
var hidden = map[string][]string{
	"github.com/gorilla/websocket": {"session", "tool/client", "tool/bench"},
	"github.com/jackc/pgx/v5":      {"postgres", "tool/adopt", "testkit/sandbox", "testkit/sandbox/sandboxtest", "tool/soak"},
	"github.com/pressly/goose/v3":  {"postgres"},
	"github.com/redis/go-redis/v9": {"redis", "testkit/sandbox", "testkit/sandbox/sandboxtest", "tool/soak"},
	"github.com/golang-jwt/jwt/v5": {"auth"},
	"github.com/alecthomas/kong":   {"cmd"},
	// the tests' own client
	"github.com/coder/websocket":             {},
	"os/signal":                              {"cmd"},
	"testing":                                {"testkit/netfault", "testkit/sandbox/sandboxtest"},
	internal + "testkit/netfault":            {"tool/soak"},
	internal + "testkit/sandbox":             {"tool/dev", "testkit/sandbox/sandboxtest", "tool/soak"},
	internal + "testkit/sandbox/sandboxtest": {},
	internal + "tool/soak":                   {"cmd"},
	internal + "tool/dev":                    {"cmd"},
	internal + "app":                         {"cmd"},
	"github.com/pires/go-proxyproto":         {"app"},
	"github.com/prometheus/client_golang/prometheus/promhttp": {"ops"},
}

// never is what a package knows nothing of, whatever else changes.
var never = map[string][]string{
	"room":     {"net", "net/http", "os", "context", "database/sql"},
	"frame":    {"net", "net/http", "os", "context"},
	"chat":     {"net", "net/http", "os"},
	"location": {"net", "net/http", "os"},
	"redis":    {"net/http"},
	"postgres": {"net/http"},
}

func TestWhoImportsWhom(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for d := json.NewDecoder(bytes.NewReader(out)); ; seen++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, internal)
		if strings.HasPrefix(p.ImportPath, module+"cmd/") {
			name = "cmd"
		}
		allowed, known := mayImport[name]
		if !known && name != "cmd" {
			t.Errorf("%s is in no table: say in mayImport what it may import", name)
		}
		for _, i := range p.Imports {
			of, ours := strings.CutPrefix(i, internal)
			if ours && name != "cmd" && !slices.Contains(allowed, of) && !slices.Contains(leaves, of) {
				t.Errorf("%s imports %s", name, of)
			}
			for path, by := range hidden {
				if (i == path || strings.HasPrefix(i, path+"/") && !ours) && !slices.Contains(by, name) {
					t.Errorf("%s imports %s, which is for %q", name, i, by)
				}
			}
			if slices.Contains(never[name], i) {
				t.Errorf("%s imports %s, of which it must know nothing", name, i)
			}
		}
	}
	if seen < 15 {
		t.Errorf("go list found %d packages only", seen)
	}
}

// TestAppReadsNeitherFlagsNorTheEnvironment is what lets two replicas live in one
// process.
func TestAppReadsNeitherFlagsNorTheEnvironment(t *testing.T) {
	t.Parallel()
	each(t, ".", func(path string, _ []byte) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "os" && slices.Contains([]string{"Args", "Getenv", "LookupEnv", "Environ", "Exit"}, s.Sel.Name) {
					t.Errorf("%s uses os.%s", path, s.Sel.Name)
				}
			}
			return true
		})
	})
}

func TestNoFileIsTooLong(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"../../cmd", "../../internal"} {
		each(t, dir, func(path string, text []byte) {
			if n := bytes.Count(text, []byte("\n")); n > maxLines {
				t.Errorf("%s has %d lines, more than %d", path, n, maxLines)
			}
		})
	}
}

// each calls f with every Go file below dir that is no test.
func each(t *testing.T, dir string, f func(path string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			f(path, text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
