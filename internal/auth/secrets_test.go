package auth_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
)

// djangoKey has what Django puts into a SECRET_KEY, but for the prefix.
const djangoKey = `k9=abc(#-_+&!^$%=*@0123456789abcdefghijklmnopqrstuv`

func TestParseSecrets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"one":                    {secretA, secretA},
		"with a line break":      {secretA + "\r\n", secretA},
		"one a line":             {secretB + "\n\r\nk=" + secretA + "\n\n", secretB + "|k=" + secretA},
		"with commas":            {secretB + ",," + secretA + ",", secretB + "|" + secretA},
		"both":                   {secretB + "," + secretA + "\n" + secretC, secretB + "|" + secretA + "|" + secretC},
		"blanks around":          {" " + secretA + "\t, \u00a0" + secretB + " \n ", secretA + "|" + secretB},
		"blanks within":          {"a b\tc" + secretA, "a b\tc" + secretA},
		"a byte order mark":      {"\ufeff" + secretA + "\r\n", secretA},
		"one in each line":       {"\ufeff" + secretA + "\n\ufeff " + secretB + "\ufeff", secretA + "|" + secretB},
		"a backslash is no sign": {secretA + `\,` + secretB, secretA + `\|` + secretB},
		"a key of Django":        {djangoKey, djangoKey},
		"nothing":                {" \n,\ufeff", ""},
	} {
		if got := strings.Join(auth.ParseSecrets(c.text), "|"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if diff := cmp.Diff([]string{secretA, secretB}, auth.ParseSecrets(secretA, secretB)); diff != "" {
		t.Error(diff)
	}
}

// keysFile opens a file for --jwt-keys-file. The log is that of opening it.
func keysFile(t *testing.T, text string) (_ *auth.SecretFile, keys *auth.Keys, log string, _ error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	put(t, path, text)
	var lines bytes.Buffer
	f, keys, err := auth.OpenSecretFile(auth.SecretSource{KeysFile: path}, slog.New(slog.NewTextHandler(&lines, nil)), prometheus.NewRegistry())
	return f, keys, lines.String(), err
}

func TestKeysFile(t *testing.T) {
	t.Parallel()
	comma := "a, b " + secretC + " "
	_, keys, log, err := keysFile(t, "\ufeff"+`{"keys": [{"kid": "2026-07", "secret": "`+secretA+`"}, {"secret": "k=`+secretB+`"}, {"kid": "", "secret": "`+comma+`"}]}`)
	if err != nil || strings.Count(log, "\n") != 1 || !strings.Contains(log, "JWT secret 3 has a blank (U+0020) after its end") {
		t.Fatalf("%v\n%s", err, log)
	}
	want := namedKeys(t, "2026-07", secretA, "", "k="+secretB, "", comma)
	if diff := cmp.Diff(want.IDs(), keys.IDs()) + cmp.Diff(want.Fingerprints(), keys.Fingerprints()); diff != "" {
		t.Error(diff)
	}
	const form = "the file is not JSON of the form"
	for name, c := range map[string]struct{ text, want string }{
		"text":             {secretA, form},
		"a list":           {`[{"secret": "` + secretA + `"}]`, form},
		"something behind": {`{"keys": [{"secret": "` + secretA + `"}]} "` + secretB + `"`, form},
		"another name":     {`{"keys": [{"key": "` + secretA + `"}]}`, form},
		"a number":         {`{"keys": [{"secret": 1234567890123456789012345678901234567890}]}`, form},
		"no keys":          {`{}`, "no JWT secret is given"},
		"short":            {`{"keys": [{"secret": "hunter2"}]}`, "JWT secret 1 has 7 bytes"},
		"a bad kid":        {`{"keys": [{"kid": "a b", "secret": "` + secretA + `"}]}`, "the kid of JWT secret 1"},
	} {
		_, _, _, err := keysFile(t, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secretA) || strings.Contains(err.Error(), "12345") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKeysFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	put(t, path, `{"keys": [{"kid": "a", "secret": "`+secretA+`"}]}`)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f, keys, err := auth.OpenSecretFile(auth.SecretSource{KeysFile: path}, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		go f.Run(t.Context())
		put(t, path, `{"keys": [{"kid": "b", "secret": "`+secretB+`"}, {"kid": "a", "secret": "`+secretA+`"}]}`)
		<-time.After(5 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"b", "a"}, keys.IDs()); diff != "" {
			t.Error(diff)
		}
		if err := os.WriteFile(path, []byte(secretB), 0o600); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Second)
		synctest.Wait()
		if !strings.Contains(log.String(), "Fix the file of --jwt-keys-file") || len(keys.IDs()) != 2 {
			t.Errorf("the log is\n%s", log.String())
		}
	})
}

func TestSecretsThatSeemWrongAreTold(t *testing.T) {
	t.Parallel()
	const insecure, split = "JWT secret 1 begins with django-insecure-", "JWT secret 1 contains = and is taken as a whole"
	padded := "YS1zZWNyZXQtb2YtdGhlLXRlc3RzLWFuZC1vZi1ub3RoaW5n===="
	for name, c := range map[string]struct{ text, want string }{
		"a good one":                     {secretA, ""},
		"a key for development":          {"django-insecure-" + secretA, insecure},
		"the prefix elsewhere":           {"x django-insecure-" + djangoKey, ""},
		"a kid of before":                {"2026-07=" + secretA, split},
		"a = in front, as before":        {"=" + secretA, split},
		"a key of Django with =":         {djangoKey, split},
		"what could not be a kid before": {"a b=" + secretA, ""},
		"base64 of a text":               {padded, "JWT secret 1 is base64 of a readable text"},
	} {
		var log bytes.Buffer
		_, keys, err := auth.OpenSecretFile(auth.SecretSource{Texts: []string{c.text}}, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		if text := log.String(); strings.Count(text, "level=WARN") != min(len(c.want), 1) || !strings.Contains(text, c.want) || strings.Contains(text, c.text) {
			t.Errorf("%s: the log is\n%s", name, text)
		}
		if diff := cmp.Diff(newKeys(t, c.text).Fingerprints(), keys.Fingerprints()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
