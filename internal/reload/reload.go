// Package reload reads files again while the process runs: secrets and certificates that are
// replaced without a restart.
package reload

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/unseen"
)

const (
	// interval is the time between two reads. A change is used when two reads in a row
	// agree, because a file that is written in place is incomplete for a moment, and half a
	// secret would be used as a secret.
	interval = 2 * time.Second
	// maxSize is the maximum size of a file in bytes.
	maxSize = 1 << 20
)

// A Watch reads files every two seconds while [Watch.Run] runs, and uses their content when it
// has changed. While they are not usable, what was used before stays in use. It polls the files
// by their paths, because Kubernetes replaces a mounted Secret through a symbolic link.
type Watch struct {
	name     string // of the option that names the files
	paths    []string
	use      func(texts []string) (string, error)
	log      *slog.Logger
	stale    prometheus.Gauge
	isStale  bool              // whether stale counts this watch
	lastRead [sha256.Size]byte // hash of the contents at the last read
	lastUsed [sha256.Size]byte // hash of the contents that were last used or refused
}

// New returns a watch of files. name is how the operator names them, as in --jwt-secret-file.
// use gets the contents without trailing line breaks. It returns what the log says about them, or
// an error if they cannot be used; neither may contain a secret.
func New(name string, paths []string, use func(texts []string) (string, error), log *slog.Logger, reg prometheus.Registerer) *Watch {
	return &Watch{name: name, paths: paths, use: use, log: log, stale: staleGauge(reg)}
}

// staleGauge returns the gauge, which all watches share.
func staleGauge(reg prometheus.Registerer) prometheus.Gauge {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "roomspa_secret_file_stale",
		Help: "Number of options whose file with secrets or certificates is not usable, so that its former content stays in use.",
	})
	if err := reg.Register(gauge); err != nil {
		already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
		if !ok {
			panic(err) // like promauto: two metrics have one name
		}
		gauge = already.ExistingCollector.(prometheus.Gauge) //nolint:forcetypeassert // of the same description
	}
	return gauge
}

// setStale counts this watch while its files are not usable.
func (w *Watch) setStale(stale bool) {
	switch {
	case stale && !w.isStale:
		w.stale.Inc()
	case !stale && w.isStale:
		w.stale.Dec()
	}
	w.isStale = stale
}

// Read reads the files for the first time and returns their contents.
func (w *Watch) Read() ([]string, error) {
	texts, hash, err := w.read()
	w.lastRead, w.lastUsed = hash, hash
	return texts, err
}

// Run reads the files until ctx ends. Without files it returns at once.
func (w *Watch) Run(ctx context.Context) {
	if len(w.paths) == 0 {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.poll()
		}
	}
}

// poll uses the contents if they have changed and two reads in a row agree.
func (w *Watch) poll() {
	texts, now, err := w.read()
	stable := now == w.lastRead
	w.lastRead = now
	if !stable || now == w.lastUsed {
		return
	}
	w.lastUsed = now
	done := ""
	if err == nil {
		done, err = w.use(texts)
	}
	if err != nil {
		w.setStale(true)
		logging.Component(w.log, slog.LevelError, "Secrets",
			"Reload failed: "+err.Error()+"; keeping the previous secrets. Fix the file of "+w.name+"; it is read again every 2s",
			slog.String("cause", "secret_file_unusable"))
		return
	}
	w.setStale(false)
	logging.Component(w.log, slog.LevelInfo, "Secrets", done)
}

// read returns the contents and a hash of them, or of the error.
func (w *Watch) read() (texts []string, hash [sha256.Size]byte, err error) {
	all := sha256.New()
	for _, path := range w.paths {
		text, err := readFile(path)
		if err != nil {
			return nil, sha256.Sum256([]byte("\x00" + err.Error())), err // differs from the hash of any secrets
		}
		texts = append(texts, text)
		fmt.Fprintf(all, "%d:%s", len(text), text)
	}
	return texts, [sha256.Size]byte(all.Sum(nil)), nil
}

// readFile returns the content of a file without trailing line breaks. The error names the file
// and contains nothing of its content.
func readFile(path string) (string, error) {
	// Opening a pipe blocks until it has a writer, and its content can be read only once.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("read the secret file: %s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", unreadable(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return "", unreadable(err)
	}
	if len(text) > maxSize {
		return "", fmt.Errorf("read the secret file: it has more than %d bytes", maxSize)
	}
	clean, err := unseen.File(text)
	if err != nil {
		return "", fmt.Errorf("read the secret file: %s: %w", path, err)
	}
	return clean, nil
}

func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: the user that runs roomspa needs permission to read it", err)
	}
	return fmt.Errorf("read the secret file: %w", err)
}
