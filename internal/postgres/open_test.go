package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

const secret = "hunter2secret"

func withoutSecret(t testing.TB, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("the password is in %q", err)
	}
}

func TestAnUnreadableURLKeepsItsSecret(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"",
		"nonsense " + secret,
		"postgres//u:" + secret + "@h/d",
		"postgres://u:" + secret + "@h:port/d",
		"postgres://u:" + secret + "@h:99999999/d",
		"postgres://u:" + secret + "/x?y=%zz@h:5432/d",
		"postgres://u:%" + secret + "@h/d",
		"postgres://u:a@b:" + secret + "@h:x/d",
		"postgres://u:" + secret + "@h/d?sslmode=sometimes",
		"postgres://u:" + secret + "@h/d?connect_timeout=soon",
		"postgres://u:" + secret + "@h/d?pool_max_conns=" + secret,
		"postgres://u:" + secret + "@h/d?sslmode=verify-full&sslrootcert=/no/such/file",
		"postgres://u@[" + secret + "@h/d",
		"postgres://u:a@" + secret + "@h/d",
		"user=u password=" + secret + " port=x",
		"user=u password='" + secret + " port=1",
		"postgres://u:x@h/d?password=" + secret + "&port=z",
	} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: bad}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err == nil {
			t.Errorf("%q is taken", bad)
		}
		withoutSecret(t, err)
		_, err = postgres.Migrate(t.Context(), postgres.Options{URL: bad, AcquireTimeout: 1}, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Errorf("%q is migrated", bad)
		}
		withoutSecret(t, err)
	}
}

func TestWhyThereIsNoConnection(t *testing.T) {
	t.Parallel()
	good := database(t)
	conn := direct(t, good)
	var name string
	if err := conn.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	role := pgx.Identifier{"limited_" + name}.Sanitize()
	execute(t, conn, "CREATE ROLE "+role+" LOGIN CONNECTION LIMIT 0 PASSWORD '"+secret+"'")
	t.Cleanup(func() { _, _ = conn.Exec(context.WithoutCancel(t.Context()), "DROP ROLE "+role) })
	edit := func(f func(*url.URL)) string {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		f(u)
		return u.String()
	}
	limited := url.UserPassword("limited_"+name, secret)
	for want, target := range map[string]string{
		"wrong_password":       edit(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), secret) }),
		"no_such_database":     edit(func(u *url.URL) { u.Path = "/nowhere" }),
		"refused":              edit(func(u *url.URL) { u.Host = "127.0.0.1:1"; u.User = limited }),
		"name_not_found":       edit(func(u *url.URL) { u.Host = "no-such-host.invalid:5432"; u.User = limited }),
		"no_tls":               edit(func(u *url.URL) { u.RawQuery = "sslmode=require" }),
		"too_many_connections": edit(func(u *url.URL) { u.User = limited }),
	} {
		db := open(t, postgres.Options{URL: target})
		for kind, call := range calls(db, room.ID{}) {
			err := call(t.Context())
			if postgres.Cause(err) != want || !errors.Is(err, room.ErrUnavailable) || errors.Is(err, room.ErrOutcomeUnknown) {
				t.Errorf("%s, %s: %v", want, kind, err)
			}
			withoutSecret(t, err)
		}
		_, err := postgres.MigrationStatus(t.Context(), world.Patient(postgres.Options{URL: target}))
		if postgres.Cause(err) != want {
			t.Errorf("%s, migrating: %v", want, err)
		}
		withoutSecret(t, err)
	}
	execute(t, conn, "ALTER ROLE "+role+" CONNECTION LIMIT 90")
	db := open(t, postgres.Options{URL: edit(func(u *url.URL) { u.User = limited })})
	mustBeUnavailable(t, db, room.ID{}, "permission_denied")
}

func TestTheWritableHostOfSeveralIsTaken(t *testing.T) {
	t.Parallel()
	target := database(t)
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = "127.0.0.1:1," + u.Host
	db := open(t, postgres.Options{URL: u.String()})
	if _, err := db.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}
