package roomspajs_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	roomspajs "github.com/roomspa/roomspa/clients/js"
)

// maxSize is the limit for the module as it is sent to browsers, comments included.
const maxSize = 10 << 10

func TestModuleIsSmall(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(roomspajs.Source); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Len() > maxSize {
		t.Errorf("roomspa.js has %d bytes compressed, more than %d", b.Len(), maxSize)
	}
}

// TestPackage requires that the files of the package exist, that types come first, and that nothing has to be installed.
func TestPackage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		License, Type                                            string
		Files                                                    []string
		Exports                                                  map[string]json.RawMessage
		Scripts, Dependencies, DevDependencies, PeerDependencies map[string]string
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	if p.License != "Apache-2.0" || p.Type != "module" || len(p.Scripts)+len(p.Dependencies)+len(p.DevDependencies)+len(p.PeerDependencies) > 0 {
		t.Errorf("package.json has %+v", p)
	}
	if !regexp.MustCompile(`^\{\s*"types": "./roomspa.d.ts",\s*"default": "./roomspa.js"\s*\}$`).Match(p.Exports["."]) {
		t.Errorf("exports are %s: types must come first", p.Exports["."])
	}
	for _, file := range append(p.Files, "README.md", "LICENSE") {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	ours, _ := os.ReadFile("LICENSE")
	if projects, err := os.ReadFile("../../LICENSE"); err != nil || !bytes.Equal(ours, projects) {
		t.Errorf("LICENSE is not that of the project (%v)", err)
	}
}

func TestExampleIsShort(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("example.html")
	if n := bytes.Count(text, []byte("\n")); err != nil || n > 30 {
		t.Errorf("the example has %d lines, more than 30 (%v)", n, err)
	}
}

// TestNode runs the tests of the module: vectors, units, and random faults against a model of the server. They get the
// module as it is embedded, in a copy of this directory, so that a build with a changed module (tools/mutants) tests that.
func TestNode(t *testing.T) {
	t.Parallel()
	path, dir := node(t), t.TempDir()
	for _, name := range []string{"js", "vectors"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join("..", name))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "js", "roomspa.js"), roomspajs.Source, 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("test/*.test.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a test that hangs shows what ran before
	defer cancel()
	command := exec.CommandContext(ctx, path, append([]string{"--test", "--test-reporter=spec"}, files...)...)
	command.Dir = filepath.Join(dir, "js")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("node --test: %v\n%s", err, out)
	}
}

// node returns the path of Node, or skips the test if there is none or it is too old.
func node(t *testing.T) string {
	t.Helper()
	const oldest = 18
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs Node 18 or later, which is not in PATH: on Debian, apt-get install nodejs")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", path, err)
	}
	version := regexp.MustCompile(`^v(\d+)\.`).FindSubmatch(out)
	if version == nil {
		t.Fatalf("%s has the version %q", path, out)
	}
	if major, _ := strconv.Atoi(string(version[1])); major < oldest {
		t.Skipf("needs Node %d or later, and %s is %s", oldest, path, out)
	}
	return path
}
