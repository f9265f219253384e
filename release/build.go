package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// buildTwice builds every binary in two copies of the commit, once with an empty cache. It returns the files by platform,
// and fails if two builds differ.
func (r *release) buildTwice(ctx context.Context, log io.Writer) (map[platform]string, error) {
	dir, err := os.MkdirTemp("", "roomspa-release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "the", "other")
	for _, to := range []string{one, two} {
		export := exec.CommandContext(ctx, "sh", "-ec", `mkdir -p "$3"; git -C "$1" archive "$2" | tar -x -C "$3"`, "sh", r.root, r.commit, to) //nolint:gosec // paths
		if out, err := export.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("copy the commit: %w: %s", err, out)
		}
	}
	files := map[platform]string{}
	for _, p := range platforms {
		first, second := r.file("roomspa_%s_%s_%s", r.version, p.os, p.arch), filepath.Join(dir, "roomspa")
		if err := r.build(ctx, one, first, p); err != nil {
			return nil, err
		}
		if err := r.build(ctx, two, second, p, "GOCACHE="+filepath.Join(dir, "cache")); err != nil {
			return nil, err
		}
		a, err := os.ReadFile(first)
		if err != nil {
			return nil, err
		}
		b, err := os.ReadFile(second) //nolint:gosec // a path of ours
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(a, b) {
			return nil, fmt.Errorf("two builds for %s differ: the binary is not reproducible", p)
		}
		files[p] = first
		fmt.Fprintf(log, "built %s twice: equal, %.1f MiB\n", p, float64(len(a))/(1<<20))
	}
	return files, nil
}

// build builds one binary. Whoever builds the commit with the same Go gets the same bytes.
func (r *release) build(ctx context.Context, dir, to string, p platform, env ...string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", //nolint:gosec // arguments of ours
		"-ldflags", "-s -w -buildid= -X main.version="+r.version+" -X main.commit="+r.commit, "-o", to, "./cmd/roomspa")
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0", "GOOS="+p.os, "GOARCH="+p.arch), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", p, err, out)
	}
	return nil
}

// verifyVersion runs the binary of this machine's platform and compares what it says of itself.
func (r *release) verifyVersion(ctx context.Context, binaries map[platform]string) error {
	binary := binaries[platform{runtime.GOOS, runtime.GOARCH}]
	if binary == "" {
		return nil
	}
	out, err := exec.CommandContext(ctx, binary, "version", "--json").Output() //nolint:gosec // built above
	if err != nil {
		return fmt.Errorf("run %s: %w", binary, err)
	}
	var got struct{ Version, Commit, Go string }
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("read the version of %s: %w", binary, err)
	}
	if got.Version != r.version || got.Commit != r.commit || got.Go == "" {
		return fmt.Errorf("%s says that it is %+v", binary, got)
	}
	return nil
}

// writeSBOM lists the modules of a binary in CycloneDX's format.
func (r *release) writeSBOM(ctx context.Context, binary string) error {
	to := r.file("roomspa_%s_sbom.cdx.json", r.version)
	cmd := exec.CommandContext(ctx, "go", "tool", "cyclonedx-gomod", "bin", "-json", "-std", "-noserial", //nolint:gosec // arguments of ours
		"-version", "v"+r.version, "-output", to, binary)
	cmd.Dir = filepath.Join(r.root, "release")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("write the SBOM: %w: %s", err, out)
	}
	return nil
}
