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
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestWhatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	limit := 11*time.Second + allowance(t, world.New(t).Ready(t, "healthy"), 1)
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
			w := world.New(t).BehindProxies(t)
			reason := "channel_layer_unavailable"
			if c.redis {
				c.fault(w.ToRedis)
			}
			if c.postgres {
				c.fault(w.ToPostgres)
				reason = "database_unavailable"
			}
			r := w.Start(t, "a", func(o *app.Options) {
				if c.postgres {
					world.DefaultTimeouts(o)
				}
			})
			status, answer := r.Readyz(t)
			if status != http.StatusServiceUnavailable || answer.Ready {
				t.Errorf("/readyz is %d: %+v", status, answer)
			}
			for check, away := range map[string]bool{"postgres": c.postgres, "redis": c.redis, "channel_layer": c.redis} {
				if f := world.Finding(answer, check); away && (f.OK || f.Error == "" || f.Since == nil) {
					t.Errorf("/readyz says of %s: %+v", check, f)
				}
			}
			if status, _, _ := world.Get(t, r.Ops("/livez")); status != http.StatusOK {
				t.Errorf("/livez is %d", status)
			}
			for _, path := range []string{"/ws/chat/1/2/", "/ws/location/1/2/"} {
				expectWithin(t, "a refusal", limit, func() {
					r.ConnectAs(t, world.Customer, path, nil).ExpectRefusal(t, 1011, reason)
				})
			}
			echo := r.Connect(t, world.Handshake{Path: "/ws/test/"}) // it needs neither
			echo.Send(t, "hello")
			echo.Next(t)

			w.ToPostgres.Heal()
			w.ToRedis.Heal()
			r.WaitReady(t)
			r.WaitAdmitted(t)
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
			w := world.New(t)
			w.Exec(t, c.spoil)
			r := w.Start(t, "a")
			r.WaitUnready(t, "postgres", c.says)
			if name == "missing" {
				r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).ExpectRefusal(t, 1011, "database_unavailable")
			}
			w.Exec(t, c.mend)
			r.WaitReady(t)
			r.Chat(t, world.Customer)
		})
	}
	t.Run("an empty database", func(t *testing.T) {
		t.Parallel()
		w := world.New(t, world.EmptyDatabase)
		r := w.Start(t, "a")
		r.WaitUnready(t, "postgres", "roomspa migrate up")
		r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).ExpectRefusal(t, 1011, "database_unavailable")
		if err := world.Populate(t.Context(), w.DatabaseURL); err != nil {
			t.Fatal(err)
		}
		r.WaitReady(t)
		r.Chat(t, world.Customer)
	})
	t.Run("newer, and still good for this binary", func(t *testing.T) {
		t.Parallel()
		w := world.New(t)
		w.Exec(t, "INSERT INTO roomspa.goose_db_version (version_id, is_applied) VALUES (1000, true)")
		w.Ready(t, "a").Chat(t, world.Customer)
	})
}

func TestADatabaseThatTurnsReadOnly(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", world.NoRateLimit)
	s, other := r.Chat(t, world.Customer), r.Chat(t, world.Therapist)
	name := pgx.Identifier{world.Query[string](t, w, "SELECT current_database()")}.Sanitize()
	turn := func(to string) { // sessions that are open keep what they began with
		conn, err := pgx.Connect(t.Context(), w.DatabaseURL)
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
	r.WaitUnready(t, "postgres", "read-only", "writes")
	s.Say(t, "x", "m1")
	if g := s.Expect(t, "error"); g.Code != "database_unavailable" || g.ClientMessageID != "m1" {
		t.Errorf("a send is answered with %s", g.Raw)
	}
	r.ConnectAs(t, world.Customer, "/ws/chat/1/4/", nil).ExpectRefusal(t, 1011, "database_unavailable") // a conversation that has to be created
	other.ExpectNothing(t)
	turn("off")
	r.WaitReady(t)
	s.Say(t, "x", "m1")
	s.Find(t, "ack")
	other.ExpectMessages(t, 0, 1)
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
		change func(t *testing.T, w *world.World)
		check  string
		says   []string // one of them
	}{
		"Redis: wrong password": {func(t *testing.T, w *world.World) { w.RedisURL = changed(t, w.RedisURL, wrong) }, "redis", []string{"WRONGPASS", "password"}},
		"Redis: nothing there":  {func(_ *testing.T, w *world.World) { w.RedisURL = "redis://:" + password + "@127.0.0.1:1/0" }, "redis", []string{"refused"}},
		"Redis: no such host": {func(_ *testing.T, w *world.World) {
			w.RedisURL = "redis://:" + password + "@nowhere.invalid:6379/0"
		}, "redis", []string{"nowhere.invalid"}},
		"Postgres: wrong password": {func(t *testing.T, w *world.World) { w.DatabaseURL = changed(t, w.DatabaseURL, wrong) }, "postgres", []string{"password"}},
		"Postgres: no such database": {func(t *testing.T, w *world.World) {
			w.DatabaseURL = changed(t, w.DatabaseURL, func(u *url.URL) { u.Path = "/nowhere" })
		}, "postgres", []string{"does not exist"}},
		"Postgres: nothing there": {func(_ *testing.T, w *world.World) {
			w.DatabaseURL = "postgres://u:" + password + "@127.0.0.1:1/x"
		}, "postgres", []string{"refused"}},
		"Postgres: no such host": {func(_ *testing.T, w *world.World) {
			w.DatabaseURL = "postgres://u:" + password + "@nowhere.invalid/x"
		}, "postgres", []string{"name cannot be resolved"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.New(t)
			c.change(t, w)
			r := w.Start(t, "a", world.DefaultTimeouts)
			r.WaitUnready(t, c.check, c.says...)
			r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).WaitClose(t)
			_, _, metrics := world.Get(t, r.Ops("/metrics"))
			_, _, ready := world.Get(t, r.Ops("/readyz"))
			for what, text := range map[string]string{"the log": r.Log.String(), "/metrics": string(metrics), "/readyz": string(ready)} {
				if strings.Contains(text, password) {
					t.Errorf("%s tells the password", what)
				}
			}
		})
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	for name, c := range map[string]struct {
		edit func(*app.Options)
		says string
	}{
		"a short secret":           {func(o *app.Options) { o.JWTSecrets = []string{"S3cret"} }, "--jwt-secret"},
		"secrets twice":            {func(o *app.Options) { o.JWTSecretFile = "/nowhere" }, "--jwt-secret and --jwt-secret-file are both given"},
		"secrets in two files":     {func(o *app.Options) { o.JWTSecrets, o.JWTSecretFile, o.JWTKeysFile = nil, "/nowhere", "/nowhere" }, "--jwt-keys-file and --jwt-secret or --jwt-secret-file are both given"},
		"no file of keys":          {func(o *app.Options) { o.JWTSecrets, o.JWTKeysFile = nil, "/nowhere" }, "--jwt-keys-file: read the secret file: open /nowhere"},
		"a file that is not there": {func(o *app.Options) { o.JWTSecrets, o.JWTSecretFile = nil, "/nowhere" }, "--jwt-secret-file: read the secret file: open /nowhere"},
		"no secret":                {func(o *app.Options) { o.JWTSecrets = nil }, "--jwt-secret"},
		"the same secret twice":    {func(o *app.Options) { o.JWTSecrets = []string{world.Secret, world.Secret} }, "--jwt-secret"},
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
			a, err := app.New(w.Options(t, c.edit), "test", slog.New(slog.DiscardHandler))
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
	w := world.New(t)
	first := w.Start(t, "a")
	for name, edit := range map[string]func(*app.Options){
		"public": func(o *app.Options) { o.Listen = first.Addr() },
		"ops":    func(o *app.Options) { o.OpsListen = first.OpsAddr() },
	} {
		second, err := app.New(w.Options(t, edit), "test", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "stop the program that uses the port") {
			t.Errorf("%s: Run says %v", name, err)
		}
	}
}
