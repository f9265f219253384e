package postgres

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/roomspa/roomspa/internal/unseen"
)

// foreignScheme matches the schemes of other programs. No other scheme is quoted in an error: it
// may be a part of a password.
var foreignScheme = regexp.MustCompile(`^(?i:jdbc:[a-z]+|jdbc|postgres(?:ql)?\+[a-z0-9]+|postgis|pgsql|psql|cockroachdb|mysql|mariadb|sqlite|mongodb|rediss?|https?|tcp):`)

// checkURL returns an error about a URL that looks right to people and is not, or nil.
func checkURL(raw string) error {
	if _, found := unseen.Ends(raw); found != "" && !isKeywords(raw) {
		return fmt.Errorf("the database URL has %s: remove that", found)
	}
	if scheme := foreignScheme.FindString(raw); scheme != "" {
		return fmt.Errorf("the scheme of the database URL must be postgres:// (or postgresql://), not %s", scheme)
	}
	return nil
}

// isKeywords reports whether a connection string has the form of keywords, as in "host=… user=…",
// whose last value may be quoted.
func isKeywords(raw string) bool {
	name, _, found := strings.Cut(strings.TrimLeft(raw, " "), "=")
	return found && !strings.ContainsAny(name, ":/@ ")
}

// urlParameters are the parameters that the driver understands and that are often misspelt. The
// driver passes other ones on to the server, as settings of the session.
var urlParameters = []string{
	"sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslsni", "sslnegotiation", "connect_timeout", "target_session_attrs", "application_name",
	"passfile", "service", "channel_binding", "require_auth", "client_encoding", "timezone", "options", "search_path",
	"pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time", "pool_health_check_period",
}

// foreignParameters are parameters of other drivers, and what to write instead.
var foreignParameters = map[string]string{
	"tls": "sslmode=require", "sslaccept": "sslmode=verify-full", "ssl_mode": "sslmode", "ssl-mode": "sslmode", "usessl": "sslmode",
	"pgbouncer": "--database-pooler pgbouncer", "schema": "nothing: the schema is always roomspa", "connection_limit": "--database-max-connections", "pool_size": "--database-max-connections",
	"pool_timeout": "--database-acquire-timeout", "user": "user:password@ before the host", "charset": "nothing: the encoding is always UTF8", "encoding": "nothing: the encoding is always UTF8",
	"sslca": "sslrootcert", "ssl_ca": "sslrootcert", "sslrootcertificate": "sslrootcert", "cafile": "sslrootcert",
}

// checkParameters returns an error about a parameter of the URL that no server knows, or nil.
// settings are those that would be passed on to the server. Their values are not quoted.
func checkParameters(settings map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		lower := strings.ToLower(name)
		if slices.Contains(urlParameters, lower) {
			continue
		}
		if instead := foreignParameters[lower]; instead != "" {
			return fmt.Errorf("the database URL has the parameter %s, which is of another driver: write %s", name, instead)
		}
		for _, known := range urlParameters {
			if near(lower, known) {
				return fmt.Errorf("the database URL has the unknown parameter %s: is %s meant?", name, known)
			}
		}
		if !parameterName.MatchString(name) {
			return errors.New("the database URL has a parameter whose name cannot be one: is there a ? or & in the password that is not percent-encoded?")
		}
	}
	return nil
}

var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// near reports whether one letter is missing, too much, wrong or swapped with its neighbour.
func near(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if a == b || len(b)-len(a) > 1 || len(a) < 5 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch {
	case len(a) < len(b):
		return a[i:] == b[i+1:]
	case a[i+1:] == b[i+1:]:
		return true
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}
