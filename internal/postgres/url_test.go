package postgres_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/postgres"
)

func TestWhatIsWrongWithADatabaseURLIsNamed(t *testing.T) {
	t.Parallel()
	const url = "postgres://user:geheim@host:5432/name"
	for raw, want := range map[string]string{
		url + "\n":      "a line break (U+000A) after its end: remove that",
		"\ufeff" + url:  "a BOM (U+FEFF) before it",
		`"` + url + `"`: "quotes (U+0022) around it",
		"'" + url + "'": "quotes (U+0027) around it",
		url + " ":       "a blank (U+0020) after its end",
		url + "\u00a0":  "a no-break space (U+00A0)",
		"jdbc:postgresql://host/name?user=u&password=geheim":     "the scheme of the database URL must be postgres:// (or postgresql://), not jdbc:postgresql:",
		"postgresql+psycopg2://user:geheim@host/name":            "not postgresql+psycopg2:",
		"mysql://user:geheim@host/name":                          "not mysql:",
		"redis://:geheim@host:6379/0":                            "not redis:",
		url + "?sslmod=require":                                  "the unknown parameter sslmod: is sslmode meant?",
		url + "?sslmdoe=require":                                 "is sslmode meant?",
		url + "?ssslmode=require":                                "is sslmode meant?",
		url + "?slmode=require":                                  "is sslmode meant?",
		url + "?sslrootcerts=geheim":                             "is sslrootcert meant?",
		url + "?sslmode=disable&pgbouncer=true":                  "write --database-pooler pgbouncer",
		url + "?schema=geheim":                                   "the schema is always roomspa",
		"postgres://user:ge/heim@host:5432/name":                 "percent-encoded",
		url + "?sslmode=verify-full&sslrootcert=/nowhere/ca.pem": "/nowhere/ca.pem: no such file",
	} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: raw}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v", raw, err)
		}
	}
	for _, raw := range []string{
		url, url + "?sslmode=disable&application_name=x&statement_timeout=5", url + "?search_path=a&connect_timeout=3&myapp.x=1",
		"host=host user=user password='geheim'", "postgresql://user:geheim@a,b:5433/name?target_session_attrs=any",
	} {
		db, err := postgres.Open(t.Context(), postgres.Options{URL: raw}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Errorf("%q: %v", raw, err)
			continue
		}
		db.Close()
	}
}
