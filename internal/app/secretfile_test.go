package app_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
)

// TestChangedSecretsCountWithoutARestart rotates the secret of a replica in the file
// that it is told of, beside one that never hears of it.
func TestChangedSecretsCountWithoutARestart(t *testing.T) {
	t.Parallel()
	const next = "the next secret of the tests with 32 bytes"
	w := newWorld(t)
	w.givePassword(t, customer)
	path := filepath.Join(t.TempDir(), "secrets")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put(secret)
	r := w.ready(t, "a", func(o *app.Options) { o.JWTSecrets, o.JWTSecretFile = nil, path })
	other := w.ready(t, "b")
	open := r.chat(t, customer)

	token := forge(t, hs256, claims(nil), next)
	enters := func(r *replica, token string) bool {
		s := r.connect(t, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {token}}})
		return s.next(t).Type == "connected"
	}
	renewed := func(n int) {
		t.Helper()
		eventually(t, patience, "the new secrets are read", func() (bool, any) {
			return strings.Count(r.text.String(), `msg="[Secrets] Reloaded `) == n, r.text.String()
		})
	}
	if enters(r, token) {
		t.Error("the new secret is known before it is there")
	}
	put(next + "\n" + secret)
	renewed(1)
	if !enters(r, token) || !enters(r, w.token(t, customer)) {
		t.Error("tokens of both secrets are not taken")
	}
	if enters(other, token) {
		t.Error("the other replica takes it too")
	}
	signed := r.login(t, customer, password).is(t, http.StatusOK, "").Access
	keys, err := auth.NewKeys([]string{next})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Verify(signed, time.Now()); err != nil {
		t.Errorf("the new secret does not sign: %v", err)
	}
	other.warns(t, "different_secrets", "a")
	r.warns(t, "different_secrets", "b")

	put("geheim")
	eventually(t, patience, "a bad file is told", func() (bool, any) {
		return r.metric(t, "roomspa_secret_file_stale") == 1, r.text.String()
	})
	if !enters(r, token) {
		t.Error("the secrets did not stay")
	}
	put(next)
	renewed(2)
	if enters(r, w.token(t, customer)) {
		t.Error("the old secret is still taken")
	}

	open.say(t, "still here", "1")
	open.find(t, "ack")
	log := r.text.String() + r.json.String() + other.text.String()
	for _, word := range []string{secret, next, "geheim"} {
		if strings.Contains(log, word) {
			t.Errorf("the log holds %q", word)
		}
	}
	if strings.Count(r.text.String(), `level=ERROR msg="[Secrets] Reload failed: JWT secret 1 has 6 bytes; HS256 needs 32 or more; `) != 1 {
		t.Errorf("the log is\n%s", r.text.String())
	}
}
