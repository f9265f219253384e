package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is the one of distroless images, as in the Dockerfile and in the chart.
const user = "65532:65532"

// writeImage writes the image of the Linux binaries as an OCI archive, and returns the digest of its index.
func (r *release) writeImage(binaries map[platform]string) (v1.Hash, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		if p.os != "linux" {
			continue
		}
		img, err := r.imageFor(p, binaries[p])
		if err != nil {
			return v1.Hash{}, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.os, Architecture: p.arch}},
		})
	}
	dir, err := os.MkdirTemp("", "roomspa-image-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(dir)
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	// containerd reads the first annotation, skopeo and podman the second one.
	if err := to.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          qualified(r.image) + ":" + r.version,
		"org.opencontainers.image.ref.name": r.version,
	})); err != nil {
		return v1.Hash{}, err
	}
	archive, err := os.Create(r.file("roomspa_%s_image.tar", r.version))
	if err != nil {
		return v1.Hash{}, err
	}
	if err := writeTree(archive, dir, "", time.Unix(0, 0)); err != nil {
		return v1.Hash{}, err
	}
	if err := archive.Close(); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

// qualified returns the full name of a repository: without a registry it is one of Docker's hub.
func qualified(repository string) string {
	host, _, deep := strings.Cut(repository, "/")
	switch {
	case deep && (strings.ContainsAny(host, ".:") || host == "localhost"):
		return repository
	case deep:
		return "docker.io/" + repository
	}
	return "docker.io/library/" + repository
}

// imageFor returns the image of one platform: from scratch, with CA certificates, a user and the binary.
func (r *release) imageFor(p platform, binary string) (v1.Image, error) {
	program, err := os.ReadFile(binary) //nolint:gosec // built by this program
	if err != nil {
		return nil, err
	}
	system, err := layer(
		entry{"etc/passwd", 0o644, []byte("root:x:0:0:root:/:/nologin\nnonroot:x:65532:65532:nonroot:/:/nologin\n")},
		entry{"etc/group", 0o644, []byte("root:x:0:\nnonroot:x:65532:\n")},
		entry{"etc/ssl/certs/ca-certificates.crt", 0o644, certificates()})
	if err != nil {
		return nil, err
	}
	app, err := layer(entry{"roomspa", 0o755, program})
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.AppendLayers(img, system, app)
	if err != nil {
		return nil, err
	}
	config, err := partial.ConfigFile(img)
	if err != nil {
		return nil, err
	}
	config.OS, config.Architecture, config.Created = p.os, p.arch, v1.Time{Time: r.date}
	config.Config = v1.Config{
		User: user, Entrypoint: []string{"/roomspa"}, Cmd: []string{"serve"}, WorkingDir: "/",
		ExposedPorts: map[string]struct{}{"8000/tcp": {}, "9090/tcp": {}},
		Env:          []string{"PATH=/", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		Labels: map[string]string{
			"org.opencontainers.image.title": "roomspa", "org.opencontainers.image.version": r.version,
			"org.opencontainers.image.revision": r.commit, "org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.source": "https://github.com/roomspa/roomspa",
		},
	}
	return mutate.ConfigFile(img, config)
}

// certificates returns Mozilla's root certificates in PEM. The module's version pins them, so that every machine makes
// the same image. Roots that Mozilla trusts in part only are left out: a file cannot say so.
func certificates() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes all
		}
	}
	return b.Bytes()
}

// An entry is a file of a layer.
type entry struct {
	name string
	mode int64
	data []byte
}

// layer returns a layer with these files and their directories, owned by root, of no date.
func layer(entries ...entry) (v1.Layer, error) {
	var b bytes.Buffer
	w, made := tar.NewWriter(&b), map[string]bool{}
	for _, e := range entries {
		parts := strings.Split(filepath.Dir(e.name), "/")
		for i := range parts {
			dir := strings.Join(parts[:i+1], "/")
			if dir == "." || made[dir] {
				continue
			}
			made[dir] = true
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
				return nil, err
			}
		}
		if err := writeFile(w, e.name, e.mode, e.data, time.Unix(0, 0)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
}
