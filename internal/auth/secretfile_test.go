package auth_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
)

// A followed file is one whose secrets are in use; put replaces what is in it.
type followed struct {
	t    *testing.T
	path string
	keys *auth.Keys
	log  bytes.Buffer // read it while nobody looks at the file
	reg  *prometheus.Registry
}

func follow(t *testing.T, path string) *followed {
	t.Helper()
	f := &followed{t: t, path: path, reg: prometheus.NewRegistry()}
	file, keys, err := auth.OpenSecretFile(auth.SecretSource{File: path}, slog.New(slog.NewTextHandler(&f.log, nil)), f.reg)
	if err != nil {
		t.Fatal(err)
	}
	f.keys = keys
	go file.Run(t.Context())
	return f
}

// looks lets two looks pass, and one second.
func (f *followed) looks() {
	<-time.After(5 * time.Second)
	synctest.Wait()
}

// are fails the test unless the keys are those of some secrets.
func (f *followed) are(when string, secrets ...string) {
	f.t.Helper()
	if diff := cmp.Diff(newKeys(f.t, secrets...).Fingerprints(), f.keys.Fingerprints()); diff != "" {
		f.t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func (f *followed) stale() float64 {
	f.t.Helper()
	families, err := f.reg.Gather()
	if err != nil || len(families) != 1 {
		f.t.Fatalf("%v, %v", families, err)
	}
	return families[0].GetMetric()[0].GetGauge().GetValue()
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rename(t, path+".new", path)
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func TestAFileWithoutSecretsIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for text, want := range map[string]string{"": "no JWT secret is given", "\n": "no JWT secret is given", "hunter2": "JWT secret 1 has 7 bytes; HS256 needs 32 or more"} {
		path := filepath.Join(dir, "secrets")
		put(t, path, text)
		if _, _, err := auth.OpenSecretFile(auth.SecretSource{File: path}, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
	_, _, err := auth.OpenSecretFile(auth.SecretSource{File: filepath.Join(dir, "nowhere")}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err == nil || !strings.Contains(err.Error(), "nowhere: no such file") {
		t.Errorf("error %v", err)
	}
}

func TestAChangedFileIsReadAgain(t *testing.T) {
	t.Parallel()
	for name, swap := range map[string]func(t *testing.T, path string) (next func(text string)){
		"by rename": func(t *testing.T, path string) func(string) {
			t.Helper()
			put(t, path, secretA)
			return func(text string) { put(t, path, text) }
		},
		// As the kubelet does: secrets -> ..data/secrets, ..data -> a directory for each version.
		"by a symbolic link to a directory": func(t *testing.T, path string) func(string) {
			t.Helper()
			dir, version := filepath.Dir(path), 0
			next := func(text string) {
				version++
				directory := "..version" + strings.Repeat("+", version)
				put(t, filepath.Join(dir, directory, "secrets"), text)
				link(t, directory, filepath.Join(dir, "..data_tmp"))
				rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
			}
			next(secretA)
			link(t, "..data/secrets", path)
			return next
		},
		"in place": func(t *testing.T, path string) func(string) {
			t.Helper()
			put(t, path, secretA)
			return func(text string) {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secrets")
			next := swap(t, path)
			synctest.Test(t, func(t *testing.T) {
				f := follow(t, path)
				j, err := auth.NewJWKS(auth.JWKSOptions{Source: file(t, keySet(edSigner(t, "d")))}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
				if err != nil {
					t.Fatal(err)
				}
				beside := f.keys.WithJWKS(j)
				next(secretB + "\n" + secretA)
				f.looks()
				f.are("both", secretB, secretA)
				token, _, err := f.keys.Mint(auth.Access, 1, noon, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := newKeys(t, secretB).Verify(token, noon); err != nil {
					t.Errorf("the new one does not sign: %v", err)
				}
				if _, err := beside.Verify(token, noon); err != nil {
					t.Errorf("beside a key set it is not known: %v", err)
				}
				next(secretB)
				f.looks()
				f.are("the new one alone", secretB)
				_, err = beside.Verify(signA(good), noon)
				refused(t, err, auth.TokenInvalid, "bad_signature")
				if log := f.log.String(); strings.Count(log, "[Secrets] Reloaded ") != 2 || strings.Contains(log, "ERROR") || strings.Contains(log, secretB) {
					t.Errorf("the log is\n%s", log)
				}
			})
		})
	}
}

func TestWhatCannotBeUsedLeavesTheFormerSecrets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		why   string
	}{
		"too short":  {func(t *testing.T, path string) { t.Helper(); put(t, path, secretB+"\nhunter2") }, "JWT secret 2 has 7 bytes; HS256 needs 32 or more"},
		"empty":      {func(t *testing.T, path string) { t.Helper(); put(t, path, "") }, "no JWT secret is given"},
		"twice":      {func(t *testing.T, path string) { t.Helper(); put(t, path, secretB+","+secretB) }, "JWT secrets 1 and 2 are the same"},
		"too large":  {func(t *testing.T, path string) { t.Helper(); put(t, path, strings.Repeat(secretB, 40_000)) }, "more than 1048576 bytes"},
		"taken away": {func(t *testing.T, path string) { t.Helper(); rename(t, path, path+".away") }, "no such file"},
		"a directory": {func(t *testing.T, path string) {
			t.Helper()
			rename(t, path, path+".away")
			put(t, filepath.Join(path, "secrets"), secretB)
		}, "not a regular file"},
		"a pipe": {func(t *testing.T, path string) {
			t.Helper()
			rename(t, path, path+".away")
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secrets")
			put(t, path, secretA)
			synctest.Test(t, func(t *testing.T) {
				f := follow(t, path)
				c.spoil(t, path)
				f.looks()
				f.looks()
				f.are("with a bad file", secretA)
				log := f.log.String()
				if strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, c.why) || !strings.Contains(log, "cause=secret_file_unusable") ||
					!strings.Contains(log, "Fix the file of --jwt-secret-file") || strings.Contains(log, "hunter2") || strings.Contains(log, secretB) {
					t.Errorf("the log is\n%s", log)
				}
				if f.stale() != 1 {
					t.Error("the metric does not tell")
				}
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				put(t, path, secretA) // as it was
				f.looks()
				f.are("as before", secretA)
				if !strings.Contains(f.log.String(), "level=INFO") || f.stale() != 0 {
					t.Errorf("its end is not told:\n%s", f.log.String())
				}
			})
		})
	}
}

// A part of a secret is a secret: what is there for a moment is not taken.
func TestAFileThatIsBeingWrittenIsNotTaken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets")
	put(t, path, secretA)
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, path)
		wait := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		wait(time.Second)
		put(t, path, "") // seen at 2 s
		wait(2 * time.Second)
		put(t, path, secretB[:32]) // at 4 s
		wait(2 * time.Second)
		put(t, path, secretB) // at 6 s and 8 s
		wait(2 * time.Second)
		f.are("after one look", secretA)
		wait(2 * time.Second)
		f.are("after two", secretB)
		if log := f.log.String(); strings.Count(log, "\n") != 1 {
			t.Errorf("the log is\n%s", log)
		}
	})
}
