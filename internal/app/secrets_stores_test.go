package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/revocation"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// failStores breaks the stores of running replicas.
func (x *secrecy) failStores(t *testing.T, r *world.Replica) {
	t.Helper()
	// Postgres quotes the row that it refuses.
	x.Exec(t, "ALTER TABLE roomspa.messages ADD CONSTRAINT no_more CHECK (false) NOT VALID")
	x.Exec(t, "ALTER TABLE roomspa.refresh_families ADD CONSTRAINT no_more CHECK (false) NOT VALID")
	x.SetPassword(t, x.password, world.Customer)
	x.Exec(t, "ALTER TABLE roomspa.users ADD CONSTRAINT no_more CHECK (false) NOT VALID")
	s := x.dial(t, r, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {x.accessToken(t, world.Therapist)}}})
	s.Expect(t, "connected")
	for range 3 {
		s.Say(t, x.secret("a message that Postgres refuses"), "")
		s.Find(t, "error")
	}
	_, refresh := x.signIn(t, r, "/login/", m{"identifier": "user1@example.com", "password": x.password})
	x.request(t, r, http.MethodPost, "/token/refresh/", "", `{"refresh_token":"`+refresh+`"}`)

	far := x.BehindProxies(t)
	broken := x.start(t, far, "broken", world.DefaultTimeouts)
	broken.WaitReady(t)
	open := x.dial(t, broken, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {x.accessToken(t, world.Therapist)}}})
	open.Expect(t, "connected")
	ticket := x.issueTicket(t, broken, x.accessToken(t, world.Customer))
	for _, cut := range []func(){far.ToRedis.Cut, far.ToPostgres.Cut} {
		cut()
		broken.WaitUnready(t, map[bool]string{true: "redis", false: "postgres"}[far.ToPostgres.Counts().Open > 0])
		open.Say(t, x.secret("a message that cannot be stored"), "")
		open.Find(t, "error")
		x.connectAndWait(t, broken, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {x.accessToken(t, world.Customer)}}})
		x.connectAndWait(t, broken, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"ticket": {ticket}}})
		x.request(t, broken, http.MethodPost, "/login/", "", `{"identifier":"user1@example.com","password":"`+inJSON(x.password, false)+`"}`)
		x.request(t, broken, http.MethodPost, "/token/refresh/", "", `{"refresh_token":"`+refresh+`"}`)
		x.request(t, broken, http.MethodPost, "/logout/", "", `{"refresh_token":"`+refresh+`","everywhere":true}`)
		x.request(t, broken, http.MethodPost, "/api/ticket/", x.accessToken(t, world.Customer), "")
		x.request(t, broken, http.MethodGet, "/api/conversations/", x.accessToken(t, world.Customer), "", "message")
	}
	hangUp(t, r, s, websocket.StatusNormalClosure, "")
	hangUp(t, broken, open, websocket.StatusNormalClosure, "")
	x.finish(t, broken)
}

// startWithWrongStores starts replicas with wrong addresses and secrets.
func (x *secrecy) startWithWrongStores(t *testing.T) {
	t.Helper()
	changed := func(raw string, change func(*url.URL)) string {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	wrong, word := x.secret("a wrong password of a store"), x.word("a wrong password of a store")
	password := func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), wrong) }
	var all sync.WaitGroup // they mostly wait
	for name, edit := range map[string]func(*app.Options){
		"postgres: wrong password":   func(o *app.Options) { o.DatabaseURL = changed(o.DatabaseURL, password) },
		"postgres: no such database": func(o *app.Options) { o.DatabaseURL = changed(o.DatabaseURL, func(u *url.URL) { u.Path = "/nowhere" }) },
		"postgres: no such user": func(o *app.Options) {
			o.DatabaseURL = changed(o.DatabaseURL, func(u *url.URL) { u.User = url.UserPassword("nobody", wrong) })
		},
		"postgres: nothing there": func(o *app.Options) {
			o.DatabaseURL = changed(o.DatabaseURL, func(u *url.URL) { u.Host = "127.0.0.1:1" })
		},
		"postgres: no such host": func(o *app.Options) {
			o.DatabaseURL = changed(o.DatabaseURL, func(u *url.URL) { u.Host = "nowhere.invalid" })
		},
		"postgres: it is Redis": func(o *app.Options) {
			o.DatabaseURL = changed(o.DatabaseURL, func(u *url.URL) { u.Host = world.Host(t, o.RedisURL) })
		},
		"redis: wrong password": func(o *app.Options) { o.RedisURL = changed(o.RedisURL, password) },
		"redis: no such user": func(o *app.Options) {
			o.RedisURL = changed(o.RedisURL, func(u *url.URL) { u.User = url.UserPassword("nobody", wrong) })
		},
		"redis: nothing there": func(o *app.Options) { o.RedisURL = changed(o.RedisURL, func(u *url.URL) { u.Host = "127.0.0.1:1" }) },
		"redis: no such host": func(o *app.Options) {
			o.RedisURL = changed(o.RedisURL, func(u *url.URL) { u.Host = "nowhere.invalid:1" })
		},
		"redis: it is Postgres": func(o *app.Options) {
			o.RedisURL = changed(o.RedisURL, func(u *url.URL) { u.Host = world.Host(t, o.DatabaseURL) })
		},
	} {
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				r := x.start(t, x.World, name, edit, world.DefaultTimeouts)
				r.WaitUnready(t, strings.Split(name, ":")[0])
				x.connectAndWait(t, r, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {x.accessToken(t, world.Customer)}}})
				x.recordCheck(t, x.Options(t, x.settings, edit, world.DefaultTimeouts))
				x.finish(t, r)
			})
		})
	}
	file := filepath.Join(t.TempDir(), "jwks.json")
	set, err := json.Marshal(m{"keys": []m{{"kty": "oct", "k": word}, {"kty": "OKP", "crv": "Ed25519", "d": word, "x": word}, {"kty": word}, {"kty": 1, "k": word}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	secrets := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(secrets, []byte(word+"\n"+word[:20]), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, []byte(`{"keys": [{"kid": "a b", "secret": "`+word+`"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, edit := range []func(*app.Options){
		func(o *app.Options) { o.JWTSecrets, o.JWTSecretFile = nil, secrets },
		func(o *app.Options) { o.JWTSecretFile = secrets },
		func(o *app.Options) { o.JWTSecrets = []string{word[:20]} },
		func(o *app.Options) { o.JWTSecrets = []string{x.Secret, x.Secret} },
		func(o *app.Options) { o.JWTSecrets = []string{word, word} },
		func(o *app.Options) { o.JWTSecrets, o.JWTKeysFile = nil, secrets },
		func(o *app.Options) { o.JWTSecrets, o.JWTKeysFile = nil, keys },
		func(o *app.Options) { o.DatabaseURL = "postgres://u:" + wrong + "@127.0.0.1/x" },
		func(o *app.Options) { o.DatabaseURL = "postgres://u:" + word + "/@127.0.0.1/x" },
		func(o *app.Options) { o.DatabaseURL = "postgres://u:" + word + "@127.0.0.1/%zz" },
		func(o *app.Options) { o.DatabaseURL = "host=127.0.0.1 port=x password=" + word },
		func(o *app.Options) { o.RedisURL = "redis://:" + wrong + "@127.0.0.1/x" },
		func(o *app.Options) { o.RedisURL = "redis://:" + word + "/@127.0.0.1:1" },
		func(o *app.Options) { o.RedisURL = "redis://:" + word + "@127.0.0.1/%zz" },
		func(o *app.Options) { o.RedisURL = word },
		func(o *app.Options) { o.JWKS = "https://u:" + word + "@127.0.0.1:1/jwks" },
		func(o *app.Options) { o.JWKS = "http://127.0.0.1:1/jwks?key=" + word },
		func(o *app.Options) { o.JWKS = file },
	} {
		all.Go(func() { t.Run("cannot start", func(t *testing.T) { x.expectStartFails(t, edit) }) })
	}
	defer all.Wait()
	r := x.start(t, x.World, "keys away", func(o *app.Options) { o.JWKS = "https://127.0.0.1:1/jwks?key=" + word })
	world.Eventually(t, "it is logged", func() (bool, any) { return strings.Contains(r.Log.String(), "[JWKS] Refresh failed"), nil })
	x.finish(t, r)
	other := *x.World
	other.RedisURL = changed(x.RedisURL, password)
	if err = revocation.RequestCheck(nil, func(group string, body event.Body) error {
		return channel.Announce(t.Context(), other.OpenRedis(t), group, body)
	}); err == nil {
		t.Fatal("a wrong password was taken")
	}
	x.record("why the replicas cannot be told", err.Error())
}
