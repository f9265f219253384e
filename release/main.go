// Command release makes the files of a release, without Docker and without a registry:
//
//	roomspa_VERSION_OS_ARCH        binaries; each is built twice, in two copies of the commit, and must come out equal
//	roomspa_VERSION_image.tar      the image for linux/amd64 and linux/arm64, as an OCI archive
//	roomspa-VERSION.tgz            the Helm chart
//	roomspa_VERSION_sbom.cdx.json  what the binary is made of (CycloneDX)
//	SHA256SUMS                     checksums of these files
//
// The version is the chart's appVersion. Run it with `make release`.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// platforms are those of the binaries. The image has the ones of Linux.
var platforms = []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "arm64"}}

type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// A release is what all files of one release have in common.
type release struct {
	root, out string
	image     string // repository in the image's name
	version   string
	commit    string
	date      time.Time // of the commit
}

func main() {
	root := flag.String("root", "..", "root of the repository")
	out := flag.String("out", "../dist", "directory of the files; it is emptied first")
	image := flag.String("image", "roomspa", "repository in the name of the image")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, *root, *out, *image)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, log io.Writer, root, out, image string) error {
	r, err := describe(ctx, root, out, image)
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(r.out), os.MkdirAll(r.out, 0o755)); err != nil { //nolint:gosec // public files
		return err
	}
	fmt.Fprintf(log, "roomspa %s, commit %s\n", r.version, r.commit)
	binaries, err := r.buildTwice(ctx, log)
	if err != nil {
		return err
	}
	if err := r.verifyVersion(ctx, binaries); err != nil {
		return err
	}
	digest, err := r.writeImage(binaries)
	if err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	fmt.Fprintf(log, "image %s:%s is %s\n", r.image, r.version, digest)
	if err := r.writeChart(); err != nil {
		return fmt.Errorf("package the chart: %w", err)
	}
	if err := r.writeSBOM(ctx, binaries[platforms[0]]); err != nil {
		return err
	}
	return r.writeChecksums(log)
}

// describe reads the version from the chart and the commit from git. It refuses a tree with changes, and a tag that
// names another version.
func describe(ctx context.Context, root, out, image string) (*release, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	version, err := chartVersion(filepath.Join(root, chartDir))
	if err != nil {
		return nil, err
	}
	git := func(args ...string) (string, error) {
		text, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output() //nolint:gosec // arguments are fixed
		if err != nil {
			return "", fmt.Errorf("git %s: %w", args[0], err)
		}
		return strings.TrimSpace(string(text)), nil
	}
	status, err := git("status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return nil, err
	}
	if status != "" {
		return nil, fmt.Errorf("the tree has changes that no commit holds:\n%s", status)
	}
	commit, err := git("rev-parse", "HEAD")
	if err != nil {
		return nil, err
	}
	tags, err := git("tag", "--points-at", "HEAD", "--list", "v*")
	if err != nil {
		return nil, err
	}
	if tags != "" && tags != "v"+version {
		return nil, fmt.Errorf("the commit has the tag %s, and charts/roomspa/Chart.yaml the version %s", tags, version)
	}
	date, err := git("show", "--no-patch", "--format=%cI", "HEAD")
	if err != nil {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339, date)
	if err != nil {
		return nil, err
	}
	return &release{root: root, out: out, image: image, version: version, commit: commit, date: at.UTC()}, nil
}

func (r *release) file(format string, args ...any) string {
	return filepath.Join(r.out, fmt.Sprintf(format, args...))
}

// writeChecksums writes SHA256SUMS in the format of sha256sum.
func (r *release) writeChecksums(log io.Writer) error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), e.Name())
	}
	if err := os.WriteFile(r.file("SHA256SUMS"), []byte(sums.String()), 0o644); err != nil { //nolint:gosec // a public file
		return err
	}
	_, err = fmt.Fprintf(log, "%s\nin %s; publish them as docs/developing.md says\n", strings.TrimSpace(sums.String()), r.out)
	return err
}
