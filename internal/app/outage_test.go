package app_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
)

// limited fails the test if f takes longer than a handshake may.
func limited(t *testing.T, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > busy(11*time.Second) {
		t.Errorf("%s took %v", what, took)
	}
}

func TestWhatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		postgres, redis bool // is away
		fault           func(*netfault.Proxy)
	}{
		"Postgres is down":    {true, false, (*netfault.Proxy).Cut},
		"Postgres is stalled": {true, false, (*netfault.Proxy).Stall},
		"Redis is down":       {false, true, (*netfault.Proxy).Cut},
		"Redis is stalled":    {false, true, (*netfault.Proxy).Stall},
		"both are down":       {true, true, (*netfault.Proxy).Cut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			postgres, redis := netfault.New(t, hostOf(t, w.databaseURL)), netfault.New(t, hostOf(t, w.redisURL))
			w.databaseURL, w.redisURL = postgres.URL(w.databaseURL), redis.URL(w.redisURL)
			reason := "channel_layer_unavailable"
			if c.redis {
				c.fault(redis)
			}
			if c.postgres {
				c.fault(postgres)
				reason = "database_unavailable"
			}
			r := w.start(t, "a", func(o *app.Options) {
				if c.postgres {
					prompt(o)
				}
			})
			status, answer := r.readyz(t)
			if status != http.StatusServiceUnavailable || answer.Ready {
				t.Errorf("/readyz is %d: %+v", status, answer)
			}
			for check, away := range map[string]bool{"postgres": c.postgres, "redis": c.redis, "channel_layer": c.redis} {
				if f := finding(answer, check); away && (f.OK || f.Error == "" || f.Since == nil) {
					t.Errorf("/readyz says of %s: %+v", check, f)
				}
			}
			if status, _, _ := get(t, "http://"+r.OpsAddr()+"/livez"); status != http.StatusOK {
				t.Errorf("/livez is %d", status)
			}
			for _, path := range []string{"/ws/chat/1/2/", "/ws/location/1/2/"} {
				limited(t, "a refusal", func() { r.room(t, path, customer, nil).refusal(t, 1011, reason) })
			}
			echo := r.connect(t, dial{path: "/ws/test/"}) // it needs neither
			echo.send(t, "hello")
			echo.next(t)

			postgres.Heal()
			redis.Heal()
			r.becomesReady(t)
			r.findsRoom(t)
		})
	}
}

func TestASchemaThatCannotBeServed(t *testing.T) {
	t.Parallel()
	const older = "UPDATE roomspa.goose_db_version SET version_id = version_id - 1000 WHERE version_id > "
	for name, c := range map[string]struct{ spoil, mend, says string }{
		"missing":             {"ALTER SCHEMA roomspa RENAME TO elsewhere", "ALTER SCHEMA elsewhere RENAME TO roomspa", "roomspa migrate up"},
		"too old":             {older + "1", "UPDATE roomspa.goose_db_version SET version_id = version_id + 1000 WHERE version_id < 0", "too old"},
		"too new":             {"UPDATE roomspa.compatibility SET oldest_served = 1000", "UPDATE roomspa.compatibility SET oldest_served = 1", "too new"},
		"without its history": {"ALTER TABLE roomspa.goose_db_version RENAME TO hidden", "ALTER TABLE roomspa.hidden RENAME TO goose_db_version", "roomspa migrate up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			execute(t, w.databaseURL, c.spoil)
			r := w.start(t, "a")
			r.becomesUnready(t, patience, "postgres", c.says)
			if name == "missing" {
				r.room(t, "/ws/chat/1/2/", customer, nil).refusal(t, 1011, "database_unavailable")
			}
			execute(t, w.databaseURL, c.mend)
			r.becomesReady(t)
			r.chat(t, customer)
		})
	}
	t.Run("an empty database", func(t *testing.T) {
		t.Parallel()
		redisURL, prefix := sandboxtest.Redis(t)
		w := &world{databaseURL: sandboxtest.Database(t, nil), redisURL: redisURL, prefix: prefix, keys: keys(t)}
		r := w.start(t, "a")
		r.becomesUnready(t, patience, "postgres", "roomspa migrate up")
		r.room(t, "/ws/chat/1/2/", customer, nil).refusal(t, 1011, "database_unavailable")
		if err := populate(t.Context(), w.databaseURL); err != nil {
			t.Fatal(err)
		}
		r.becomesReady(t)
		r.chat(t, customer)
	})
	t.Run("newer, and still good for this binary", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		execute(t, w.databaseURL, "INSERT INTO roomspa.goose_db_version (version_id, is_applied) VALUES (1000, true)")
		w.ready(t, "a").chat(t, customer)
	})
}

func TestADatabaseThatTurnsReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.ready(t, "a", fast)
	s, other := r.chat(t, customer), r.chat(t, therapist)
	name := pgx.Identifier{query[string](t, w, "SELECT current_database()")}.Sanitize()
	turn := func(to string) { // sessions that are open keep what they began with
		conn, err := pgx.Connect(t.Context(), w.databaseURL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
		for _, sql := range []string{
			"SET default_transaction_read_only = off",
			"ALTER DATABASE " + name + " SET default_transaction_read_only = " + to,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
		} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	turn("on")
	r.becomesUnready(t, patience, "postgres", "read-only", "writes")
	s.say(t, "x", "m1")
	if g := s.want(t, "error"); g.Code != "database_unavailable" || g.ClientMessageID != "m1" {
		t.Errorf("a send is answered with %s", g.raw)
	}
	r.room(t, "/ws/chat/1/4/", customer, nil).refusal(t, 1011, "database_unavailable") // a conversation that has to be created
	other.quiet(t)
	turn("off")
	r.becomesReady(t)
	s.say(t, "x", "m1")
	s.find(t, "ack")
	other.hears(t, 0, 1)
}

func TestWrongAddressesAreToldWithoutTheirSecrets(t *testing.T) {
	t.Parallel()
	const password = "S3cret-of-the-store"
	changed := func(t *testing.T, raw string, change func(*url.URL)) string {
		t.Helper()
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	wrong := func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), password) }
	for name, c := range map[string]struct {
		change func(t *testing.T, w *world)
		check  string
		says   []string // one of them
	}{
		"Redis: wrong password":    {func(t *testing.T, w *world) { w.redisURL = changed(t, w.redisURL, wrong) }, "redis", []string{"WRONGPASS", "password"}},
		"Redis: nothing there":     {func(_ *testing.T, w *world) { w.redisURL = "redis://:" + password + "@127.0.0.1:1/0" }, "redis", []string{"refused"}},
		"Redis: no such host":      {func(_ *testing.T, w *world) { w.redisURL = "redis://:" + password + "@nowhere.invalid:6379/0" }, "redis", []string{"nowhere.invalid"}},
		"Postgres: wrong password": {func(t *testing.T, w *world) { w.databaseURL = changed(t, w.databaseURL, wrong) }, "postgres", []string{"password"}},
		"Postgres: no such database": {func(t *testing.T, w *world) {
			w.databaseURL = changed(t, w.databaseURL, func(u *url.URL) { u.Path = "/nowhere" })
		}, "postgres", []string{"does not exist"}},
		"Postgres: nothing there": {func(_ *testing.T, w *world) { w.databaseURL = "postgres://u:" + password + "@127.0.0.1:1/x" }, "postgres", []string{"refused"}},
		"Postgres: no such host":  {func(_ *testing.T, w *world) { w.databaseURL = "postgres://u:" + password + "@nowhere.invalid/x" }, "postgres", []string{"name cannot be resolved"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.change(t, w)
			r := w.start(t, "a", prompt)
			r.becomesUnready(t, patience, c.check, c.says...)
			r.room(t, "/ws/chat/1/2/", customer, nil).closed(t)
			_, _, metrics := get(t, "http://"+r.OpsAddr()+"/metrics")
			_, _, ready := get(t, "http://"+r.OpsAddr()+"/readyz")
			for what, text := range map[string]string{"the log": r.text.String(), "/metrics": string(metrics), "/readyz": string(ready)} {
				if strings.Contains(text, password) {
					t.Errorf("%s tells the password", what)
				}
			}
		})
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		edit func(*app.Options)
		says string
	}{
		"a short secret":           {func(o *app.Options) { o.JWTSecrets = []string{"S3cret"} }, "--jwt-secret"},
		"secrets twice":            {func(o *app.Options) { o.JWTSecretFile = "/nowhere" }, "--jwt-secret and --jwt-secret-file are both given"},
		"a file that is not there": {func(o *app.Options) { o.JWTSecrets, o.JWTSecretFile = nil, "/nowhere" }, "--jwt-secret-file: read the secret file: open /nowhere"},
		"no secret":                {func(o *app.Options) { o.JWTSecrets = nil }, "--jwt-secret"},
		"the same secret twice":    {func(o *app.Options) { o.JWTSecrets = []string{secret, secret} }, "--jwt-secret"},
		"no database URL":          {func(o *app.Options) { o.DatabaseURL = "postgres://u:S3cret@:x/%zz" }, "--database-url"},
		"a Redis URL of Postgres":  {func(o *app.Options) { o.RedisURL = "postgres://u:S3cret@localhost/x" }, "--redis-url"},
		"a Redis URL of nothing":   {func(o *app.Options) { o.RedisURL = "S3cret" }, "--redis-url"},
		"sentinel without a name":  {func(o *app.Options) { o.RedisMode = "sentinel" }, "--redis-master-name"},
		"hard below soft":          {func(o *app.Options) { o.HardLimit = o.SoftLimit - 1 }, "--hard-limit"},
		"too few connections":      {func(o *app.Options) { o.DatabaseMaxConnections = 1 }, "--database-max-connections"},
		"a tiny message limit":     {func(o *app.Options) { o.MaxMessageBytes = 1 }, "--max-message-bytes"},
		"pings all the time":       {func(o *app.Options) { o.PingInterval = 0 }, "--ping-interval"},
		"PROXY protocol of no one": {func(o *app.Options) { o.ProxyProtocol = true }, "--proxy-protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := app.New(w.options(t, c.edit), "test", slog.New(slog.DiscardHandler))
			if err == nil {
				t.Fatalf("it was accepted: %v", a)
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "S3cret") {
				t.Errorf("it says %q, want one line with %s and without the secret", err, c.says)
			}
		})
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.start(t, "a")
	for name, edit := range map[string]func(*app.Options){
		"public": func(o *app.Options) { o.Listen = first.Addr() },
		"ops":    func(o *app.Options) { o.OpsListen = first.OpsAddr() },
	} {
		second, err := app.New(w.options(t, edit), "test", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "stop the program that uses the port") {
			t.Errorf("%s: Run says %v", name, err)
		}
	}
}
