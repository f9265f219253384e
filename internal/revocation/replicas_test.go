package app_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/revocation"
)

type optionsOf = app.Options

// behindProxies believes what a test says of its address.
func behindProxies(o *optionsOf) {
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// edKeySet returns the path of a key set of one Ed25519 key, and what signs with it.
func edKeySet(t testing.TB) (path string, sign func(claims m) string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(m{"keys": []m{{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": raw(public)}}})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, set, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func(claims m) string {
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		signed := raw([]byte(`{"alg":"EdDSA","kid":"k"}`)) + "." + raw(payload)
		return signed + "." + raw(ed25519.Sign(private, []byte(signed)))
	}
}

func TestASignOutThatRedisHasMissedIsKnownFromPostgres(t *testing.T) {
	t.Parallel()
	w, server := ownRedis(t)
	w.givePassword(t, customer)
	a, b := w.pair(t)
	tokens := a.login(t, customer, password).is(t, 200, "")
	dialing := dial{path: "/ws/chat/1/2/", subprotocols: []string{"bearer", tokens.Access}}
	here, there := a.connect(t, dialing), b.connect(t, dialing)
	here.want(t, "connected")
	there.want(t, "connected")
	peer := b.chat(t, therapist)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	a.post(t, "/logout/", m{"refresh_token": tokens.Refresh, "everywhere": true}).is(t, 204, "")
	here.refusal(t, 4001, "token_revoked") // no Redis is needed for the replica's own
	there.quiet(t)
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	there.refusal(t, 4001, "token_revoked")
	if took := time.Since(began); took > busy(5*time.Second) {
		t.Errorf("closed %v after Redis was back", took)
	}
	peer.quiet(t)
}

// notice publishes a payload of the control group, behind the channel layer's byte.
func notice(t testing.TB, w *world, text string) {
	t.Helper()
	if err := redisClient(t, w.redisURL).Publish(t.Context(), w.prefix+"control", "\x01"+text).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestADeactivatedUserLosesTheirSockets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.pair(t)
	sockets := []*socket{a.chat(t, customer), b.chat(t, customer), b.location(t, customer)}
	peer := a.chat(t, therapist)
	execute(t, w.databaseURL, "UPDATE roomspa.users SET is_active = false WHERE id = $1", customer)
	began := time.Now()
	notice(t, w, `{"v":1,"kind":"revocation","sender":"other","body":{"type":"deactivated","user":1}}`)
	for _, s := range sockets {
		s.refusal(t, 4001, "user_inactive")
	}
	if took := time.Since(began); took > busy(time.Second) {
		t.Errorf("closed after %v", took)
	}
	peer.quiet(t)
	a.room(t, "/ws/chat/1/2/", customer, nil).refusal(t, 4001, "user_inactive")
}

func TestANoticeThatIsNotUnderstoodMakesAReplicaLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.ready(t, "a")
	s, peer := r.chat(t, customer), r.chat(t, therapist)
	execute(t, w.databaseURL, "DELETE FROM roomspa.users WHERE id = $1", customer)
	notice(t, w, `{"v":2,"kind":"revocation","body":{"type":"gone","users":[1]}}`)
	s.refusal(t, 4001, "user_unknown")
	peer.quiet(t)
}

func TestACommandTellsTheReplicasToLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.pair(t)
	sockets := []*socket{a.chat(t, customer), b.location(t, customer)}
	peer := b.chat(t, therapist)
	execute(t, w.databaseURL, "UPDATE roomspa.users SET is_active = false WHERE id = $1", customer)
	began := time.Now()
	if err := revocation.RequestCheck(func(group string, payload []byte) error {
		return channel.Announce(t.Context(), w.redis(t), group, payload)
	}); err != nil {
		t.Fatal(err)
	}
	for _, s := range sockets {
		s.refusal(t, 4001, "user_inactive")
	}
	if took := time.Since(began); took > busy(time.Second) {
		t.Errorf("closed after %v", took)
	}
	peer.quiet(t)
}

func TestASocketOutlivesItsFirstToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.ready(t, "a")
	for name, path := range map[string]string{"chat": "/ws/chat/1/2/", "location": "/ws/location/1/2/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now().Unix()
			// Of four seconds and the leeway.
			s := r.connect(t, dial{path: path, query: url.Values{"token": {forge(t, hs256, claims(m{"iat": now, "exp": now + 4}), secret)}}})
			s.want(t, "connected")
			s.send(t, `{"type":"auth","token":"`+forge(t, hs256, claims(m{"iat": now, "exp": now + 45}), secret)+`"}`)
			s.quiet(t)
			for _, c := range []struct{ token, code, word string }{
				{w.token(t, therapist), "token_invalid", "another_user"},
				{forge(t, hs256, claims(m{"iat": now - 60}), secret), "token_invalid", "older_token"},
				{forge(t, hs256, claims(nil), strings.Repeat("x", 40)), "token_invalid", "bad_signature"},
				{forge(t, hs256, claims(m{"token_type": "refresh"}), secret), "token_invalid", "wrong_type"},
				{forge(t, hs256, claims(m{"exp": now - 60}), secret), "token_expired", "expired"},
				{"", "token_missing", ""},
			} {
				s.send(t, `{"type":"auth","token":"`+c.token+`"}`)
				if g := s.faulty(t, c.code, "token"); !strings.HasPrefix(g.Detail, c.word) {
					t.Errorf("detail %q, want the word %q first", g.Detail, c.word)
				}
			}
			if g := s.want(t, "token_expiring"); !strings.Contains(g.raw, `"expires_in":30`) && !strings.Contains(g.raw, `"expires_in":29`) {
				t.Errorf("told %s", g.raw)
			}
			if at := time.Since(time.Unix(now, 0)); at < 14*time.Second || at > busy(18*time.Second) {
				t.Errorf("told after %v, want 15 s: past the first token's end", at)
			}
			s.send(t, `{"type":"auth","token":"`+w.token(t, customer)+`"}`)
			s.quiet(t)
			log := r.text.about(s.header.Get("Roomspa-Ref"))
			if strings.Count(log, "Token renewed") != 2 || strings.Count(log, "Token not renewed") != 5 || strings.Contains(log, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.") {
				t.Errorf("the log:\n%s", log)
			}
		})
	}
}

func TestASocketLivesOnWhilePostgresIsAway(t *testing.T) {
	t.Parallel()
	w, server := ownPostgres(t)
	r := w.ready(t, "a")
	s := r.chat(t, customer)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	s.send(t, `{"type":"auth","token":"`+w.token(t, customer)+`"}`)
	s.quiet(t)
}
