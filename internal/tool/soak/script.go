package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	roomspajs "github.com/roomspa/roomspa/clients/js"
)

// oldestNode is the oldest major version of Node that runs the JavaScript client.
const oldestNode = 18

// A jsProgram is a client for Node that speaks JSON lines; see clients/js/node/lines.js.
type jsProgram struct{ node, script, logs string }

// writeJS writes the program below dir. It returns an error if there is no Node that runs it.
func writeJS(ctx context.Context, dir string) (*jsProgram, error) {
	path, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("there is no program node in PATH: install Node 18 or later")
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("run %s --version: %w", path, err)
	}
	var major int
	if _, err := fmt.Sscanf(string(out), "v%d.", &major); err != nil || major < oldestNode {
		return nil, fmt.Errorf("%s has the version %s: install Node %d or later", path, strings.TrimSpace(string(out)), oldestNode)
	}
	scripts := filepath.Join(dir, "js")
	if err := os.CopyFS(scripts, roomspajs.Process); err != nil {
		return nil, fmt.Errorf("write the JavaScript client: %w", err)
	}
	if err := os.WriteFile(filepath.Join(scripts, "package.json"), []byte(`{"type":"module"}`), 0o600); err != nil {
		return nil, fmt.Errorf("write the JavaScript client: %w", err)
	}
	return &jsProgram{node: path, script: filepath.Join(scripts, "node", "lines.js"), logs: scripts}, nil
}
