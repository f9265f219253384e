package postgres_test

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestTheEnvironmentOfPsqlDoesNotCount sets every variable that changes what a URL means.
func TestTheEnvironmentOfPsqlDoesNotCount(t *testing.T) {
	url := database(t)
	const short = "postgres://somebody@/?sslmode=disable"
	want, err := postgres.ParseURL(short)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"PGHOST": "nowhere.invalid", "PGPORT": "1", "PGDATABASE": "other", "PGUSER": "other", "PGPASSWORD": "other",
		"PGPASSFILE": "/nonexistent", "PGAPPNAME": "psql", "PGCONNECT_TIMEOUT": "10s", "PGSSLMODE": "verify-full", "PGSSLKEY": "/nonexistent",
		"PGSSLCERT": "/nonexistent", "PGSSLCERTMODE": "", "PGSSLSNI": "x", "PGSSLROOTCERT": "/nonexistent/ca.crt", "PGSSLPASSWORD": "x",
		"PGSSLNEGOTIATION": "direct", "PGTARGETSESSIONATTRS": "standby", "PGSERVICE": "production", "PGSERVICEFILE": "/nonexistent",
		"PGTZ": "Asia/Tokyo", "PGOPTIONS": "-c default_transaction_read_only=on", "PGMINPROTOCOLVERSION": "9", "PGMAXPROTOCOLVERSION": "1",
		"PGCHANNELBINDING": "require", "PGREQUIREAUTH": "none",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			got, err := postgres.ParseURL(short)
			if err != nil {
				t.Fatal(err)
			}
			a, b := got.ConnConfig, want.ConnConfig
			if a.Host != b.Host || a.Port != b.Port || a.Database != b.Database || a.User != b.User || a.Password != b.Password ||
				!reflect.DeepEqual(a.RuntimeParams, b.RuntimeParams) || a.TLSConfig != nil || a.ConnectTimeout != b.ConnectTimeout || a.ValidateConnect != nil {
				t.Errorf("it counts: %+v", a)
			}
			t.Setenv(name, value)
			var log strings.Builder
			logger := slog.New(slog.NewTextHandler(&log, nil))
			db, err := postgres.Open(t.Context(), world.Patient(postgres.Options{URL: url}), logger, prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Probe(t.Context()); err != nil {
				t.Error(err)
			}
			if !strings.Contains(log.String(), name) {
				t.Errorf("the log does not say so: %s", log.String())
			}
			t.Setenv(name, value)
			if applied, err := postgres.Migrate(t.Context(), world.Patient(postgres.Options{URL: url}), logger); err != nil || len(applied) > 0 {
				t.Error(applied, err)
			}
		})
	}
}
