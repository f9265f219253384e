package postgres_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/certs"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// A guarded server is one whose pg_hba.conf and certificates the test chooses. The superuser
// always gets in by a first line of its own.
type guarded struct {
	*sandbox.Postgres
	admin     *pgx.Conn
	authority *world.Authority
	files     string // the directory of the server
}

func startGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{Postgres: world.StartPostgres(t), authority: world.NewAuthority(t, "faults test CA")}
	g.admin, g.files = direct(t, g.URL("postgres")), filepath.Join(g.Dir(), "data")
	execute(t, g.admin, "CREATE ROLE app LOGIN PASSWORD 'geheim'; CREATE ROLE idle NOLOGIN PASSWORD 'geheim'")
	execute(t, g.admin, "CREATE DATABASE closed ALLOW_CONNECTIONS false")
	return g
}

// hba replaces pg_hba.conf.
func (g *guarded) hba(t *testing.T, lines ...string) {
	t.Helper()
	text := "host all roomspa 127.0.0.1/32 scram-sha-256\n" + strings.Join(lines, "\n") + "\n"
	g.write(t, "pg_hba.conf", text)
	g.reload(t)
}

// useTLS switches TLS on, with a certificate of the authority.
func (g *guarded) useTLS(t *testing.T) {
	t.Helper()
	c := g.authority.Issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "localhost")
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	g.write(t, "server.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	g.write(t, "server.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	ca, err := os.ReadFile(g.authority.File(t))
	if err != nil {
		t.Fatal(err)
	}
	g.write(t, "ca.crt", string(ca))
	execute(t, g.admin, "ALTER SYSTEM SET ssl_ca_file = 'ca.crt'")
	execute(t, g.admin, "ALTER SYSTEM SET ssl = on")
	g.reload(t)
	world.Eventually(t, "TLS is on", func() (bool, any) {
		var on string
		err := g.admin.QueryRow(t.Context(), "SHOW ssl").Scan(&on)
		return on == "on", err
	})
}

func (g *guarded) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(g.files, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(g.files)
	if err != nil {
		t.Fatal(err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}

func (g *guarded) reload(t *testing.T) {
	t.Helper()
	var before, after time.Time
	load := "SELECT pg_conf_load_time()"
	if err := g.admin.QueryRow(t.Context(), load).Scan(&before); err != nil {
		t.Fatal(err)
	}
	execute(t, g.admin, "SELECT pg_reload_conf()")
	world.Eventually(t, "the configuration is read", func() (bool, any) {
		err := g.admin.QueryRow(t.Context(), load).Scan(&after)
		return after.After(before), err
	})
}

// as returns the URL of a user.
func (g *guarded) as(t *testing.T, user, database, query string) string {
	t.Helper()
	u, err := url.Parse(g.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.RawQuery = url.UserPassword(user, "geheim"), query
	u.Host = strings.Replace(u.Host, "127.0.0.1", "localhost", 1)
	return u.String()
}

// expect fails unless two probes fail for a cause that has a cure, with words in the text.
func expect(t *testing.T, o postgres.Options, word string, words ...string) {
	t.Helper()
	world.Eventually(t, word, func() (bool, any) { // the server reads its files when it has told its children to
		db := open(t, o)
		for range 2 {
			_, err := db.CheckServer(t.Context())
			if cause.Of(err) != word || cause.Cure(word) == "" {
				return false, err
			}
			if strings.Contains(err.Error(), "geheim") {
				t.Errorf("the password is in %v", err)
			}
			for _, w := range words {
				if !strings.Contains(err.Error(), w) {
					return false, err
				}
			}
		}
		return true, nil
	})
}

func TestWhoPostgresLetsIn(t *testing.T) {
	t.Parallel()
	g := startGuarded(t)
	plain := postgres.Options{URL: g.as(t, "app", "postgres", "sslmode=disable")}
	g.hba(t)
	expect(t, plain, "postgres_host_rejected", "no pg_hba.conf entry for host", "SQLSTATE 28000")
	g.hba(t, "host all app all reject")
	expect(t, plain, "postgres_host_rejected", "pg_hba.conf rejects connection for host")
	expect(t, postgres.Options{URL: g.as(t, "app", "postgres", "sslmode=require")}, "postgres_no_tls", "server refused TLS")
	g.hba(t, "host all all all scram-sha-256")
	expect(t, postgres.Options{URL: g.as(t, "idle", "postgres", "sslmode=disable")}, "postgres_role_refused", "not permitted to log in")
	expect(t, postgres.Options{URL: g.as(t, "app", "closed", "sslmode=disable")}, "postgres_database_closed", "closed")
	expect(t, postgres.Options{URL: g.as(t, "app", "nowhere", "sslmode=disable")}, "postgres_no_such_database", "nowhere")
	expect(t, postgres.Options{URL: g.as(t, "nobody", "postgres", "sslmode=disable")}, "postgres_wrong_password", "SQLSTATE 28P01")
	expect(t, postgres.Options{URL: g.as(t, "app", "postgres", "sslmode=disable&no_such_setting=1")}, "postgres_bad_parameter", "no_such_setting")
	g.hba(t, "host all all all trust")
	expect(t, postgres.Options{URL: g.as(t, "nobody", "postgres", "sslmode=disable")}, "postgres_role_refused", "does not exist")

	g.useTLS(t)
	g.hba(t, "hostssl all app all scram-sha-256")
	expect(t, plain, "postgres_tls_required", "by TLS it would let the user in", "no pg_hba.conf entry")
	g.hba(t, "hostssl all app 10.0.0.0/8 scram-sha-256")
	expect(t, plain, "postgres_host_rejected", "no pg_hba.conf entry")
	expect(t, postgres.Options{URL: g.as(t, "app", "postgres", "sslmode=require")}, "postgres_host_rejected", "SSL encryption")
	g.hba(t, "hostssl all app all scram-sha-256")
	verified := g.as(t, "app", "postgres", "sslmode=verify-full")
	expect(t, postgres.Options{URL: verified}, "postgres_unknown_ca", "faults test CA")
	ca := certs.Files{CA: g.authority.File(t)}
	expect(t, postgres.Options{URL: strings.Replace(verified, "localhost", "127.0.0.1", 1), TLS: ca}, "postgres_tls", "127.0.0.1")
	eventually(t, "connect with the authority", func() error {
		_, err := open(t, postgres.Options{URL: verified, TLS: ca}).CheckServer(t.Context())
		return err
	})
	g.hba(t, "hostssl all app all scram-sha-256 clientcert=verify-full")
	expect(t, postgres.Options{URL: verified, TLS: ca}, "postgres_client_certificate", "client certificate")
}

func TestSomethingElseThanPostgresIsNamed(t *testing.T) {
	t.Parallel()
	redisURL, _ := world.Redis(t)
	expect(t, postgres.Options{URL: "postgres://u:p@" + world.Host(t, redisURL) + "/x?sslmode=disable", AcquireTimeout: time.Second}, "postgres_not_postgres", "Redis")
}
