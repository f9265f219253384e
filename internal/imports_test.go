// Package internal_test checks the structure of the source tree: which package
// imports which, and how long files are.
package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The import table. TestImports checks the source tree against it, and the
// depguard rules in .golangci.yml are generated from it: run go generate
// ./internal after a change. Test files may import anything.

// packages lists the packages of internal that each package may import, beside
// those in everyone. It lists permissions: a package need not use them all.
var packages = map[string][]string{
	// Vocabulary: no I/O.
	"room":  {},
	"frame": {"room"},
	"event": {"room"},
	"cause": {},

	// The way of a socket.
	"tcp":       {},
	"listen":    {"openfiles", "story", "tcp"},
	"handshake": {"auth", "endpoint", "failure", "frame", "listen", "problem", "room", "session", "story"},
	"endpoint":  {"budget", "frame", "room"},
	"session":   {"budget", "frame", "tcp"},
	"budget":    {},
	"memory":    {},
	"certs":     {},
	"openfiles": {},
	"portpeek":  {},
	"unseen":    {},
	"idlecuts":  {},
	"receipt":   {"event", "room"},
	"chat":      {"block", "budget", "endpoint", "event", "failure", "frame", "presence", "receipt", "room"},
	"location":  {"block", "endpoint", "event", "failure", "frame", "room"},
	"inbox":     {"block", "budget", "endpoint", "event", "frame", "presence", "receipt", "room"},
	"echo":      {"budget", "endpoint", "frame", "room"},
	"dialect":   {"endpoint", "event", "frame", "room"},

	// The fleet.
	"channel":    {"event", "redis", "room"},
	"fleet":      {"event", "room"},
	"revocation": {"event", "fleet", "frame", "room", "session"},
	"rebalance":  {"event", "fleet", "frame"},
	"presence":   {"event", "fleet", "room"},
	"block":      {"event", "fleet", "room"},
	"inspect":    {"event", "fleet", "frame", "room", "session", "story"},

	// HTTP.
	"api":     {"auth", "budget", "console", "failure", "frame", "problem", "receipt", "room", "story"},
	"console": {"frame", "problem", "../clients/js"},
	"ops":     {"auth", "budget", "console", "failure", "inspect", "problem", "room", "story"},
	"problem": {},

	// Knowledge.
	"auth":    {"reload", "room"},
	"story":   {"room"},
	"failure": {},
	"logging": {},
	"reload":  {},

	// Dependencies.
	"postgres": {"certs", "event", "openfiles", "portpeek", "room", "tcp"},
	"redis":    {"certs", "event", "openfiles", "portpeek", "room", "story", "tcp"},
	"batch":    {},

	// The replica.
	"app": {
		"api", "auth", "block", "budget", "certs", "channel", "chat", "console", "dialect", "echo", "endpoint", "event", "failure", "fleet", "frame", "handshake", "idlecuts", "inbox", "inspect", "listen", "location", "memory",
		"ops", "postgres", "presence", "problem", "rebalance", "receipt", "redis", "reload", "revocation", "room", "session", "story",
	},

	// Tools: imported by cmd alone, apart from client and judge.
	"tool/adopt":    {"postgres", "room"},
	"tool/check":    {"app", "auth", "channel", "event", "fleet", "openfiles", "ops", "postgres", "redis", "room"},
	"tool/bench":    {"auth", "room", "tool/client"},
	"tool/client":   {"frame", "room"},
	"tool/ctl":      {"inspect", "tool/connect"},
	"tool/connect":  {"frame", "room", "tool/client"},
	"tool/dev":      {"auth", "postgres", "room", "testkit/sandbox"},
	"tool/diagnose": {"auth", "frame", "portpeek", "tool/client"},
	"tool/judge":    {},
	"tool/soak":     {"../clients/js", "auth", "frame", "postgres", "room", "testkit/netfault", "testkit/sandbox", "tool/client", "tool/judge"},

	// Test kit: for tests, tool/dev and tool/soak.
	"testkit/netfault": {},
	"testkit/sandbox":  {},
	"testkit/world":    {"app", "auth", "event", "ops", "postgres", "redis", "room", "testkit/netfault", "testkit/sandbox"},

	// The JavaScript client, for programs that serve or run it.
	"../clients/js": {},

	// The program.
	"../cmd/roomspa": {
		"app", "auth", "certs", "channel", "event", "frame", "inspect", "ops", "postgres", "redis", "revocation", "room", "story", "tool/adopt", "tool/bench", "tool/check", "tool/client",
		"tool/connect", "tool/ctl", "tool/dev", "tool/diagnose", "tool/judge", "tool/soak",
	},
}

// everyone lists the packages of internal that all packages may import.
var everyone = []string{"batch", "cause", "logging", "unseen"}

// libraries lists the packages that may import a library. It holds all libraries
// outside the standard library, and those parts of the standard library that do
// I/O. The suffix /... means the package and all below it; a list of names with !
// means all packages but these.
var libraries = map[string][]string{
	"github.com/alecthomas/kong/...":                            {"../cmd/roomspa", "testkit/world"},
	"github.com/coder/websocket":                                {"testkit/..."},
	"github.com/google/go-cmp/cmp":                              {"testkit/..."},
	"go.uber.org/goleak":                                        {"testkit/..."},
	"github.com/golang-jwt/jwt/v5":                              {"auth"},
	"github.com/gorilla/websocket":                              {"session", "tool/bench", "tool/client"},
	"github.com/jackc/pgx/v5/...":                               {"postgres", "testkit/...", "tool/adopt", "tool/soak"},
	"github.com/pires/go-proxyproto":                            {"listen"},
	"github.com/pressly/goose/v3/...":                           {"postgres"},
	"github.com/prometheus/client_golang/prometheus":            {"!room", "!frame", "!event", "!cause"},
	"github.com/prometheus/client_golang/prometheus/collectors": {"app"},
	"github.com/prometheus/client_golang/prometheus/promauto":   {"!room", "!frame", "!event", "!cause"},
	"github.com/prometheus/client_golang/prometheus/promhttp":   {"ops"},
	"github.com/redis/go-redis/v9/...":                          {"redis", "testkit/...", "tool/soak"},
	"golang.org/x/crypto/argon2":                                {"auth", "testkit/..."},
	"golang.org/x/sys/unix":                                     {"auth", "session", "testkit/..."},
	"golang.org/x/term":                                         {"tool/connect"},
	"golang.org/x/text/...":                                     {"room"},
	"golang.org/x/time/rate":                                    {"!room", "!frame", "!event", "!cause"},

	"context":      {"!room", "!frame", "!event", "!cause"},
	"database/sql": {"postgres"},
	"net":          {"certs", "listen", "ops", "portpeek", "postgres", "redis", "session", "tcp", "testkit/...", "tool/..."},
	"net/http/...": {"api", "app", "auth", "console", "handshake", "listen", "ops", "problem", "session", "testkit/...", "tool/..."},
	"os":           {"../cmd/roomspa", "app", "auth", "certs", "listen", "memory", "postgres", "reload", "session", "tcp", "testkit/...", "tool/..."},
	"os/exec":      {"auth", "testkit/...", "tool/..."},
	"os/signal":    {"../cmd/roomspa"},
	"testing":      {"testkit/..."},
}

const module = "github.com/roomspa/roomspa"

// name returns the name of one of our packages as the table has it.
func name(importPath string) string {
	if tail, ok := strings.CutPrefix(importPath, module+"/internal/"); ok {
		return tail
	}
	return "../" + strings.TrimPrefix(importPath, module+"/")
}

// matches reports whether the pattern names the package.
func matches(importPath, pattern string) bool {
	prefix, below := strings.CutSuffix(pattern, "/...")
	return importPath == prefix || below && strings.HasPrefix(importPath, prefix+"/")
}

// mayImport reports whether a package is among the importers of a library.
func mayImport(importer string, importers []string) bool {
	excluding := strings.HasPrefix(importers[0], "!")
	listed := slices.ContainsFunc(importers, func(p string) bool { return matches(importer, strings.TrimPrefix(p, "!")) })
	return listed != excluding
}

func TestImports(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,GoFiles,Imports", "../...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	unseen := map[string]bool{}
	for p := range packages {
		unseen[p] = true
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath       string
			GoFiles, Imports []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) == 0 {
			continue
		}
		importer := name(p.ImportPath)
		allowed, ok := packages[importer]
		if !ok {
			t.Errorf("%s is not in the import table: add to internal/imports_test.go what it may import", importer)
		}
		delete(unseen, importer)
		for _, i := range p.Imports {
			if matches(i, module+"/...") {
				if !slices.Contains(allowed, name(i)) && !slices.Contains(everyone, name(i)) {
					t.Errorf("%s imports %s", importer, name(i))
				}
				continue
			}
			listed := false
			for library, importers := range libraries {
				if !matches(i, library) {
					continue
				}
				if listed = true; !mayImport(importer, importers) {
					t.Errorf("%s imports %s, which the table allows for %q", importer, i, importers)
				}
			}
			if host, _, _ := strings.Cut(i, "/"); !listed && strings.Contains(host, ".") {
				t.Errorf("%s imports %s, which is not in the table of libraries", importer, i)
			}
		}
	}
	for p := range unseen {
		t.Errorf("%s is in the import table and does not exist", p)
	}
}

// maxLines is the limit for one file. A longer one has more than one subject.
const maxLines = 450

func TestNoFileIsTooLong(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{".", "../cmd", "../tools"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if n := bytes.Count(text, []byte("\n")); n > maxLines {
				t.Errorf("%s has %d lines, more than %d", path, n, maxLines)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
