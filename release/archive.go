package main

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// chartDir is the chart's directory in the repository.
const chartDir = "charts/roomspa"

// ignored are files that the chart's .helmignore leaves out.
var ignored = []string{"*.swp", "*.orig", ".DS_Store"}

// chartVersion returns the version of a chart. Chart and program have the same.
func chartVersion(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "Chart.yaml")) //nolint:gosec // a path of ours
	if err != nil {
		return "", err
	}
	version := regexp.MustCompile(`(?m)^version: (\S+)$`).FindSubmatch(text)
	app := regexp.MustCompile(`(?m)^appVersion: "(\S+)"$`).FindSubmatch(text)
	if version == nil || app == nil || string(version[1]) != string(app[1]) {
		return "", fmt.Errorf("version and appVersion of %s/Chart.yaml must be given and equal", chartDir)
	}
	return string(app[1]), nil
}

// writeChart packages the chart as `helm package` does, but with the date of the commit, so that it comes out equal.
func (r *release) writeChart() error {
	to, err := os.Create(r.file("roomspa-%s.tgz", r.version))
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(to)
	if err := writeTree(zipped, filepath.Join(r.root, chartDir), "roomspa", r.date); err != nil {
		return err
	}
	if err := zipped.Close(); err != nil {
		return err
	}
	return to.Close()
}

// writeTree writes the files below a directory as a tar, in alphabetical order, below another directory.
func writeTree(to io.Writer, dir, below string, date time.Time) error {
	w := tar.NewWriter(to)
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.ContainsFunc(ignored, func(p string) bool { ok, _ := path.Match(p, d.Name()); return ok }) {
			return err
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		return writeFile(w, path.Join(below, name), 0o644, data, date)
	})
	if err != nil {
		return err
	}
	return w.Close()
}

func writeFile(w *tar.Writer, name string, mode int64, data []byte, date time.Time) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(data)), ModTime: date}); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}
