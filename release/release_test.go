package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// newRelease returns a release of the repository, with binaries that are not programs.
func newRelease(t *testing.T) (*release, map[platform]string) {
	t.Helper()
	r := &release{root: "..", out: t.TempDir(), image: "registry.example.com/roomspa", version: "1.2.3", commit: "abc", date: time.Unix(1e9, 0).UTC()}
	binaries := map[platform]string{}
	for _, p := range platforms {
		binaries[p] = filepath.Join(t.TempDir(), "roomspa")
		if err := os.WriteFile(binaries[p], []byte(p.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r, binaries
}

// files returns the files of a tar.
func files(t *testing.T, from io.Reader) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name] = data
	}
}

// unpack returns the index of an OCI archive.
func unpack(t *testing.T, archive string) v1.ImageIndex {
	t.Helper()
	data, err := os.ReadFile(archive) //nolint:gosec // a file of the test
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range files(t, bytes.NewReader(data)) {
		to := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o750), os.WriteFile(to, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestImage(t *testing.T) {
	t.Parallel()
	r, binaries := newRelease(t)
	digest, err := r.writeImage(binaries)
	if err != nil {
		t.Fatal(err)
	}
	outer := unpack(t, r.file("roomspa_1.2.3_image.tar"))
	m, err := outer.IndexManifest()
	if err != nil || len(m.Manifests) != 1 || m.Manifests[0].Digest != digest || m.Manifests[0].Annotations["io.containerd.image.name"] != "registry.example.com/roomspa:1.2.3" {
		t.Fatalf("the archive has %+v (%v), want one index %s", m, err, digest)
	}
	index, err := outer.ImageIndex(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	if m, err = index.IndexManifest(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range m.Manifests {
		got = append(got, d.Platform.String())
		checkImage(t, index, d)
	}
	if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(got, want) {
		t.Errorf("the image has the platforms %v, want %v", got, want)
	}
	other := *r
	other.out = t.TempDir()
	if again, err := other.writeImage(binaries); err != nil || again != digest {
		t.Errorf("a second image of the same files is %s (%v), want %s", again, err, digest)
	}
}

// checkImage requires what the chart expects of an image.
func checkImage(t *testing.T, index v1.ImageIndex, d v1.Descriptor) {
	t.Helper()
	img, err := index.Image(d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Config; c.User != user || !slices.Equal(c.Entrypoint, []string{"/roomspa"}) || config.Architecture != d.Platform.Architecture {
		t.Errorf("%s: user %q, entry point %q, architecture %s", d.Platform, c.User, c.Entrypoint, config.Architecture)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, l := range layers {
		content, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(all, files(t, content))
	}
	if got := string(all["roomspa"]); got != d.Platform.String() {
		t.Errorf("%s holds the binary of %q", d.Platform, got)
	}
	const few = 100
	if n := bytes.Count(all["etc/ssl/certs/ca-certificates.crt"], []byte("BEGIN CERTIFICATE")); n < few {
		t.Errorf("%s trusts %d authorities, want at least %d", d.Platform, n, few)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(all["etc/ssl/certs/ca-certificates.crt"]) {
		t.Errorf("%s has a file of certificates that cannot be read", d.Platform)
	}
}

func TestChart(t *testing.T) {
	t.Parallel()
	r, _ := newRelease(t)
	if err := r.writeChart(); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(r.file("roomspa-1.2.3.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	all := files(t, plain)
	for _, name := range []string{"Chart.yaml", "values.yaml", "values.schema.json", "templates/_helpers.tpl", "templates/tests/check.yaml", ".helmignore"} {
		ours, err := os.ReadFile(filepath.Join("..", chartDir, name))
		if err != nil || !bytes.Equal(ours, all["roomspa/"+name]) {
			t.Errorf("%s is not in the package as it is in the tree (%v)", name, err)
		}
	}
	if err := r.writeChart(); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(r.file("roomspa-1.2.3.tgz")); err != nil || !bytes.Equal(first, again) {
		t.Errorf("a second package differs (%v)", err)
	}
}

// TestIgnored requires that the package leaves out what the chart's .helmignore names.
func TestIgnored(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/chart/.helmignore")
	if got := strings.Fields(string(text)); err != nil || !slices.Equal(got, ignored) {
		t.Errorf(".helmignore has %q (%v), and the package ignores %q", got, err, ignored)
	}
}

func TestChartVersion(t *testing.T) {
	t.Parallel()
	version, err := chartVersion("testdata/chart") // a link, since `go test` does not track files outside of the module
	if err != nil || strings.Count(version, ".") != 2 {
		t.Errorf("the chart has the version %q (%v)", version, err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte("version: 1.0.0\nappVersion: \"1.0.1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if version, err := chartVersion(dir); err == nil {
		t.Errorf("a chart and a program of different versions are released as %q", version)
	}
	text, err := os.ReadFile("testdata/CHANGELOG.md")
	if err != nil || !strings.Contains(string(text), "## ["+version+"]") {
		t.Errorf("CHANGELOG.md has no section for %s (%v)", version, err)
	}
}

func TestChecksums(t *testing.T) {
	t.Parallel()
	r, _ := newRelease(t)
	if err := os.WriteFile(r.file("a"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.writeChecksums(io.Discard); err != nil {
		t.Fatal(err)
	}
	const want = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a\n"
	if got, err := os.ReadFile(r.file("SHA256SUMS")); err != nil || string(got) != want {
		t.Errorf("SHA256SUMS is %q (%v), want %q", got, err, want)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"roomspa": "docker.io/library/roomspa", "acme/roomspa": "docker.io/acme/roomspa", "ghcr.io/acme/roomspa": "ghcr.io/acme/roomspa",
		"localhost/roomspa": "localhost/roomspa", "registry:5000/roomspa": "registry:5000/roomspa",
	} {
		if got := qualified(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// TestSBOM lists the modules of this test's binary.
func TestSBOM(t *testing.T) {
	t.Parallel()
	r, _ := newRelease(t)
	if err := r.writeSBOM(t.Context(), os.Args[0]); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.file("roomspa_1.2.3_sbom.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat  string `json:"bomFormat"`
		Components []struct{ Name string }
	}
	if err := json.Unmarshal(text, &bom); err != nil || bom.BOMFormat != "CycloneDX" {
		t.Fatalf("the SBOM has the format %q (%v)", bom.BOMFormat, err)
	}
	if !slices.ContainsFunc(bom.Components, func(c struct{ Name string }) bool { return c.Name == "github.com/google/go-containerregistry" }) {
		t.Error("the SBOM lacks a module that this program uses")
	}
}
