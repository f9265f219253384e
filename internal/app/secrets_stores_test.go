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
	"github.com/roomspa/roomspa/internal/revocation"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
)

// storesThatFail breaks the stores in the midst of it.
func (x *secrecy) storesThatFail(t *testing.T, r *replica) {
	t.Helper()
	// What Postgres refuses, it quotes.
	execute(t, x.databaseURL, "ALTER TABLE roomspa.messages ADD CONSTRAINT no_more CHECK (false) NOT VALID")
	execute(t, x.databaseURL, "ALTER TABLE roomspa.refresh_families ADD CONSTRAINT no_more CHECK (false) NOT VALID")
	x.setPassword(t, x.password, customer)
	execute(t, x.databaseURL, "ALTER TABLE roomspa.users ADD CONSTRAINT no_more CHECK (false) NOT VALID")
	s := x.dial(t, r, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {x.access(t, therapist)}}})
	s.want(t, "connected")
	for range 3 {
		s.say(t, x.secret("a message that Postgres refuses"), "")
		s.find(t, "error")
	}
	_, refresh := x.signIn(t, r, "/login/", m{"identifier": "user1@example.com", "password": x.password})
	x.ask(t, r, http.MethodPost, "/token/refresh/", "", `{"refresh_token":"`+refresh+`"}`)

	cut := *x.world
	toPostgres, toRedis := netfault.New(t, hostOf(t, x.databaseURL)), netfault.New(t, hostOf(t, x.redisURL))
	cut.databaseURL, cut.redisURL = toPostgres.URL(x.databaseURL), toRedis.URL(x.redisURL)
	broken := x.replica(t, &cut, "broken", prompt)
	broken.becomesReady(t)
	open := x.dial(t, broken, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {x.access(t, therapist)}}})
	open.want(t, "connected")
	ticket := x.ticket(t, broken, x.access(t, customer))
	for _, cut := range []func(){toRedis.Cut, toPostgres.Cut} {
		cut()
		broken.becomesUnready(t, patience, map[bool]string{true: "redis", false: "postgres"}[toPostgres.Counts().Open > 0])
		open.say(t, x.secret("a message that cannot be stored"), "")
		open.find(t, "error")
		x.refused(t, broken, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {x.access(t, customer)}}})
		x.refused(t, broken, dial{path: "/ws/chat/1/2/", query: url.Values{"ticket": {ticket}}})
		x.ask(t, broken, http.MethodPost, "/login/", "", `{"identifier":"user1@example.com","password":"`+inJSON(x.password, false)+`"}`)
		x.ask(t, broken, http.MethodPost, "/token/refresh/", "", `{"refresh_token":"`+refresh+`"}`)
		x.ask(t, broken, http.MethodPost, "/logout/", "", `{"refresh_token":"`+refresh+`","everywhere":true}`)
		x.ask(t, broken, http.MethodPost, "/api/ticket/", x.access(t, customer), "")
		x.ask(t, broken, http.MethodGet, "/api/conversations/", x.access(t, customer), "", "message")
	}
	hangsUp(t, r, s, websocket.StatusNormalClosure, "")
	hangsUp(t, broken, open, websocket.StatusNormalClosure, "")
	x.done(t, broken)
}

// wrongStores starts replicas with addresses and secrets that cannot work.
func (x *secrecy) wrongStores(t *testing.T) {
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
	var all sync.WaitGroup // they do little but wait
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
			o.DatabaseURL = changed(o.DatabaseURL, func(u *url.URL) { u.Host = hostOf(t, o.RedisURL) })
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
			o.RedisURL = changed(o.RedisURL, func(u *url.URL) { u.Host = hostOf(t, o.DatabaseURL) })
		},
	} {
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				r := x.replica(t, x.world, name, edit, prompt)
				r.becomesUnready(t, patience, strings.Split(name, ":")[0])
				x.refused(t, r, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {x.access(t, customer)}}})
				x.check(t, x.options(t, x.open, edit, prompt))
				x.done(t, r)
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
	for _, edit := range []func(*app.Options){
		func(o *app.Options) { o.JWTSecrets, o.JWTSecretFile = nil, secrets },
		func(o *app.Options) { o.JWTSecretFile = secrets },
		func(o *app.Options) { o.JWTSecrets = []string{word[:20]} },
		func(o *app.Options) { o.JWTSecrets = []string{x.jwtSecret, x.jwtSecret} },
		func(o *app.Options) { o.JWTSecrets = []string{"a=" + word, "a=" + x.jwtSecret} },
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
		all.Go(func() { t.Run("cannot start", func(t *testing.T) { x.cannotStart(t, edit) }) })
	}
	defer all.Wait()
	r := x.replica(t, x.world, "keys away", func(o *app.Options) { o.JWKS = "https://127.0.0.1:1/jwks?key=" + word })
	eventually(t, patience, "it is logged", func() (bool, any) { return strings.Contains(r.text.String(), "[JWKS] Refresh failed"), nil })
	x.done(t, r)
	other := *x.world
	other.redisURL = changed(x.redisURL, password)
	if err = revocation.RequestCheck(func(group string, payload []byte) error {
		return channel.Announce(t.Context(), other.redis(t), group, payload)
	}); err == nil {
		t.Fatal("a wrong password was taken")
	}
	x.say("why the replicas cannot be told", err.Error())
}
