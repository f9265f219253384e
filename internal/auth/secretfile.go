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
	// secretsInterval is the time between two reads of the secret file. A change is used
	// when two reads in a row agree, because a file that is written in place is incomplete
	// for a moment, and half a secret would be used as a secret.
	secretsInterval = 2 * time.Second
	// maxSecrets is the maximum size of the file in bytes.
	maxSecrets = 64 << 10
)

// A SecretSource says where HS256 secrets come from. One of its members is set.
type SecretSource struct {
	Texts    []string // for [ParseSecrets]
	File     string   // path of a text for [ParseSecrets]
	KeysFile string   // path of a JSON file: {"keys": [{"kid": "2026", "secret": "…"}]}; the kid may be missing
}

// A SecretFile reloads the secrets of a [Keys] from a file while [SecretFile.Run] runs. The
// previous secrets stay in use while the file is not usable. It polls the file by its path,
// because Kubernetes replaces a mounted Secret through a symbolic link.
type SecretFile struct {
	path     string // empty if there is no file
	flag     string // that names the file
	parse    func(text string) (*Keys, error)
	kids     bool // whether the file can give its secrets key ids
	keys     *Keys
	log      *slog.Logger
	stale    prometheus.Gauge
	lastRead [sha256.Size]byte // hash of the content at the last read
	lastUsed [sha256.Size]byte // hash of the content that was last loaded or refused
}

// OpenSecretFile loads the secrets of a source and returns their keys. If the source is not a
// file, Run does nothing. It logs a warning about each secret that seems to be wrong.
func OpenSecretFile(from SecretSource, log *slog.Logger, reg prometheus.Registerer) (*SecretFile, *Keys, error) {
	f := &SecretFile{path: from.File, flag: "--jwt-secret-file", parse: parseSecretFile, log: log}
	if from.KeysFile != "" {
		f.path, f.flag, f.parse, f.kids = from.KeysFile, "--jwt-keys-file", parseKeys, true
	}
	f.stale = promauto.With(reg).NewGauge(prometheus.GaugeOpts{
		Name: "roomspa_secret_file_stale",
		Help: "1 while the secret file is not usable and the previous secrets stay in use, else 0.",
	})
	var err error
	if f.path == "" {
		f.keys, err = NewKeys(ParseSecrets(from.Texts...))
	} else {
		var text string
		if text, err = f.read(); err != nil {
			return nil, nil, err
		}
		f.lastRead = sha256.Sum256([]byte(text))
		f.lastUsed = f.lastRead
		f.keys, err = f.parse(text)
	}
	if err != nil {
		return nil, nil, err
	}
	f.warn()
	return f, f.keys, nil
}

func parseSecretFile(text string) (*Keys, error) { return NewKeys(ParseSecrets(text)) }

func parseKeys(text string) (*Keys, error) {
	secrets, err := parseKeysFile(text)
	if err != nil {
		return nil, err
	}
	return newNamedKeys(secrets)
}

// warn logs what may be wrong with the secrets.
func (f *SecretFile) warn() {
	for _, text := range f.keys.warnings(f.kids) {
		logging.Component(f.log, slog.LevelWarn, "Secrets", text)
	}
}

// Run reads the file every two seconds until ctx ends.
func (f *SecretFile) Run(ctx context.Context) {
	if f.path == "" {
		return
	}
	tick := time.NewTicker(secretsInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.reload()
		}
	}
}

// reload replaces the secrets if the file has changed and two reads in a row agree.
func (f *SecretFile) reload() {
	text, err := f.read()
	now := sha256.Sum256([]byte(text))
	if err != nil {
		now = sha256.Sum256([]byte("\x00" + err.Error())) // differs from the hash of any secrets
	}
	stable := now == f.lastRead
	f.lastRead = now
	if !stable || now == f.lastUsed {
		return
	}
	f.lastUsed = now
	var fresh *Keys
	if err == nil {
		fresh, err = f.parse(text)
	}
	if err != nil {
		f.stale.Set(1)
		logging.Component(f.log, slog.LevelError, "Secrets",
			"Reload failed: "+err.Error()+"; keeping the previous secrets. Fix the file of "+f.flag+"; it is read again every 2s",
			slog.String("cause", "secret_file_unusable"))
		return
	}
	f.keys.secrets.Store(fresh.secrets.Load())
	f.stale.Set(0)
	logging.Component(f.log, slog.LevelInfo, "Secrets", fmt.Sprintf("Reloaded %d HS256 secrets; the first one signs new tokens", len(fresh.own())))
	f.warn()
}

// read returns the content of the file without trailing line breaks. The error names the file
// and contains nothing of its content.
func (f *SecretFile) read() (string, error) {
	// Opening a pipe blocks until it has a writer, and its content can be read only once.
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("read the secret file: %s is not a regular file", f.path)
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
		return "", fmt.Errorf("read the secret file: it has more than %d bytes", maxSecrets)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: the user that runs roomspa needs permission to read it", err)
	}
	return fmt.Errorf("read the secret file: %w", err)
}
