package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/logging"
)

const (
	// secretsEvery is the time between two looks at the file of the secrets. What is
	// new counts when it was seen twice: a file that is written in place is there in
	// part for a moment, and a part of a secret is a secret.
	secretsEvery = 2 * time.Second
	// maxSecrets bounds the file, in bytes.
	maxSecrets = 64 << 10
)

// A SecretFile keeps the own secrets of some [Keys] at what a file says, while
// [SecretFile.Run] runs. A content that cannot be used changes nothing. The file is
// read anew each time: a Secret that Kubernetes mounts changes by a symbolic link.
type SecretFile struct {
	path  string
	keys  *Keys
	log   *slog.Logger
	stale prometheus.Gauge
	seen  [sha256.Size]byte // of what the last look saw
	taken [sha256.Size]byte // of what was judged last
}

// OpenSecretFile reads the secrets of a file, for [NewKeys]: one a line, or several
// on a line with commas between them; "\," is a comma in a secret. Without a path it
// follows none, and the secrets are those given.
func OpenSecretFile(path string, secrets []string, log *slog.Logger, reg prometheus.Registerer) (*SecretFile, *Keys, error) {
	f := &SecretFile{path: path, log: log}
	f.stale = promauto.With(reg).NewGauge(prometheus.GaugeOpts{
		Name: "roomspa_secret_file_stale",
		Help: "1 while the file of the secrets holds something that cannot be used, and the former secrets are in use.",
	})
	if path != "" {
		text, err := f.read()
		if err != nil {
			return nil, nil, err
		}
		f.seen = sha256.Sum256([]byte(text))
		f.taken, secrets = f.seen, splitSecrets(text)
	}
	keys, err := NewKeys(secrets)
	f.keys = keys
	return f, keys, err
}

// Run looks at the file every two seconds until ctx ends.
func (f *SecretFile) Run(ctx context.Context) {
	if f.path == "" {
		return
	}
	tick := time.NewTicker(secretsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.look()
		}
	}
}

// look takes the secrets if they are others than before, and were there at the look
// before this one already.
func (f *SecretFile) look() {
	text, err := f.read()
	now := sha256.Sum256([]byte(text))
	if err != nil {
		now = sha256.Sum256([]byte("\x00" + err.Error())) // which no secrets are
	}
	settled := now == f.seen
	f.seen = now
	if !settled || now == f.taken {
		return
	}
	f.taken = now
	var fresh *Keys
	if err == nil {
		fresh, err = NewKeys(splitSecrets(text))
	}
	if err != nil {
		f.stale.Set(1)
		logging.Component(f.log, slog.LevelError, "Secrets",
			"Not renewed: "+err.Error()+"; those that were read before stay. Correct the file of --jwt-secret-file: it is looked at again by itself",
			slog.String("cause", "secret_file_unusable"))
		return
	}
	f.keys.own.Store(fresh.own.Load())
	f.stale.Set(0)
	logging.Component(f.log, slog.LevelInfo, "Secrets", fmt.Sprintf("Renewed: HS256 secrets: %d; the first one signs", len(fresh.all())))
}

// read returns the file without the line breaks at its end. An error names the file,
// and holds nothing of what is in it.
func (f *SecretFile) read() (string, error) {
	// Opening a pipe waits for its other side, and what it gives it gives once.
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("the file of the secrets, %s, is no regular file, which it has to be: it is read again and again", f.path)
	}
	file, err := os.Open(f.path)
	if err != nil {
		return "", unreadable(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSecrets+1))
	if err != nil {
		return "", unreadable(err)
	}
	if len(text) > maxSecrets {
		return "", fmt.Errorf("the file of the secrets has more than %d bytes", maxSecrets)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: the user that roomspa runs as must be able to read it", err)
	}
	return fmt.Errorf("read the secrets: %w", err)
}

// splitSecrets takes a file apart as a list in a variable is. Empty lines do not count.
func splitSecrets(text string) (secrets []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		var one strings.Builder
		for i := 0; i < len(line); i++ {
			switch {
			case strings.HasPrefix(line[i:], `\,`):
				one.WriteByte(',')
				i++
			case line[i] == ',':
				secrets = append(secrets, one.String())
				one.Reset()
			default:
				one.WriteByte(line[i])
			}
		}
		secrets = append(secrets, one.String())
	}
	return secrets
}
