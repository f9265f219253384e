package postgres

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
)

// environment lists the variables that pgx reads beside a connection URL, as psql does.
var environment = []string{
	"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGAPPNAME", "PGCONNECT_TIMEOUT", "PGSSLMODE",
	"PGSSLKEY", "PGSSLCERT", "PGSSLCERTMODE", "PGSSLSNI", "PGSSLROOTCERT", "PGSSLPASSWORD", "PGSSLNEGOTIATION",
	"PGTARGETSESSIONATTRS", "PGSERVICE", "PGSERVICEFILE", "PGTZ", "PGOPTIONS", "PGMINPROTOCOLVERSION", "PGMAXPROTOCOLVERSION",
	"PGCHANNELBINDING", "PGREQUIREAUTH",
}

// ignored are the variables that were removed and not logged yet.
var ignored struct {
	mu    sync.Mutex
	names []string
}

// IgnoreEnvironment removes the variables of psql from the environment of this process, so
// that only connection URLs count. It may be called concurrently.
func IgnoreEnvironment() {
	ignored.mu.Lock()
	defer ignored.mu.Unlock()
	for _, name := range environment {
		if _, set := os.LookupEnv(name); !set { //nolint:forbidigo // to remove it
			continue
		}
		_ = os.Unsetenv(name) // fails only for names that cannot be set
		if !slices.Contains(ignored.names, name) {
			ignored.names = append(ignored.names, name)
		}
	}
}

// warnOfEnvironment logs the variables that do not count, once.
func warnOfEnvironment(log *slog.Logger) {
	IgnoreEnvironment()
	ignored.mu.Lock()
	defer ignored.mu.Unlock()
	if len(ignored.names) > 0 {
		log.Warn("Environment variables of psql are ignored: only the database URL counts", "variables", strings.Join(ignored.names, " "))
		ignored.names = nil
	}
}

// ParseURL parses a connection URL. The environment does not count. The error may quote the
// URL with its password.
func ParseURL(url string) (*pgxpool.Config, error) {
	IgnoreEnvironment() // pgx has no option for that
	return pgxpool.ParseConfig(url)
}
