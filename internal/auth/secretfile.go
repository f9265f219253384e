package auth

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/reload"
)

// A SecretSource says where HS256 secrets come from. One of its members is set.
type SecretSource struct {
	Texts    []string // for [ParseSecrets]
	File     string   // path of a text for [ParseSecrets]
	KeysFile string   // path of a JSON file: {"keys": [{"kid": "2026", "secret": "…"}]}; the kid may be missing
}

// A SecretFile reloads the secrets of a [Keys] from a file while its Run runs. The
// previous secrets stay in use while the file is not usable.
type SecretFile struct {
	*reload.Watch
	parse func(text string) (*Keys, error)
	kids  bool // whether the file can give its secrets key ids
	keys  *Keys
	log   *slog.Logger
}

// OpenSecretFile loads the secrets of a source and returns their keys. If the source is not a
// file, Run does nothing. It logs a warning about each secret that seems to be wrong.
func OpenSecretFile(from SecretSource, log *slog.Logger, reg prometheus.Registerer) (*SecretFile, *Keys, error) {
	f := &SecretFile{parse: parseSecretFile, log: log}
	path, flag := from.File, "--jwt-secret-file"
	if from.KeysFile != "" {
		path, flag, f.parse, f.kids = from.KeysFile, "--jwt-keys-file", parseKeys, true
	}
	var paths []string
	if path != "" {
		paths = []string{path}
	}
	f.Watch = reload.New(flag, paths, f.use, log, reg)
	texts, err := f.Read()
	switch {
	case err != nil:
	case path == "":
		f.keys, err = NewKeys(ParseSecrets(from.Texts...))
	default:
		f.keys, err = f.parse(texts[0])
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

// use replaces the secrets.
func (f *SecretFile) use(texts []string) (string, error) {
	fresh, err := f.parse(texts[0])
	if err != nil {
		return "", err
	}
	f.keys.secrets.Store(fresh.secrets.Load())
	f.warn()
	return fmt.Sprintf("Reloaded %d HS256 secrets; the first one signs new tokens", len(fresh.own())), nil
}
