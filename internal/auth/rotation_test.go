package auth_test

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
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// A replica reads a secret file again; another one never hears of it.
func TestChangedSecretsCountWithoutARestart(t *testing.T) {
	t.Parallel()
	const next = "the next secret of the tests with 32 bytes"
	w := world.New(t)
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
	put(world.Secret)
	r := w.Ready(t, "a", func(o *app.Options) { o.JWTSecrets, o.JWTSecretFile = nil, path })
	other := w.Ready(t, "b")
	open := r.Chat(t, world.Customer)

	token := world.Forge(t, world.HS256, world.Claims(nil), next)
	enters := func(r *world.Replica, token string) bool {
		s := r.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {token}}})
		return s.Next(t).Type == "connected"
	}
	renewed := func(n int) {
		t.Helper()
		world.Eventually(t, "the new secrets are read", func() (bool, any) {
			return strings.Count(r.Log.String(), `msg="[Secrets] Reloaded `) == n, r.Log.String()
		})
	}
	if enters(r, token) {
		t.Error("the new secret is known before it is there")
	}
	put(next + "\n" + world.Secret)
	renewed(1)
	if !enters(r, token) || !enters(r, w.Token(t, world.Customer)) {
		t.Error("tokens of both secrets are not taken")
	}
	if enters(other, token) {
		t.Error("the other replica takes it too")
	}
	signed := r.Login(t, world.Customer, world.Password).Expect(t, http.StatusOK, "").Access
	keys, err := auth.NewKeys([]string{next})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Verify(signed, time.Now()); err != nil {
		t.Errorf("the new secret does not sign: %v", err)
	}

	put("geheim")
	world.Eventually(t, "a bad file is told", func() (bool, any) {
		return r.Metric(t, "roomspa_secret_file_stale") == 1, r.Log.String()
	})
	if !enters(r, token) {
		t.Error("the secrets did not stay")
	}
	put(next)
	renewed(2)
	if enters(r, w.Token(t, world.Customer)) {
		t.Error("the old secret is still taken")
	}

	open.Say(t, "still here", "1")
	open.Find(t, "ack")
	log := r.Log.String() + r.JSONLog.String() + other.Log.String()
	for _, word := range []string{world.Secret, next, "geheim"} {
		if strings.Contains(log, word) {
			t.Errorf("the log holds %q", word)
		}
	}
	if strings.Count(r.Log.String(), `level=ERROR msg="[Secrets] Reload failed: JWT secret 1 has 6 bytes; HS256 needs 32 or more; `) != 1 {
		t.Errorf("the log is\n%s", r.Log.String())
	}
}
