package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A target is how new connections are made: it has the credentials and certificates.
type target struct {
	url      string
	config   *pgx.ConnConfig
	replaced string // the password before, which errors of older attempts may hold
}

// Reload makes new connections use the credentials in a URL, and the certificates that are in
// their files now. An empty URL means the one in use. Open connections stay. If the URL or a file
// is not usable, or the URL names another server or database, the error says so and nothing
// changes. Call it from one goroutine at a time.
func (db *DB) Reload(rawURL string) error {
	old := db.target.Load()
	o := db.opts
	if o.URL = rawURL; rawURL == "" {
		o.URL = old.url
	}
	cfg, err := poolConfig(o)
	if err != nil {
		return err
	}
	if is, was := addressOf(cfg), db.Address(); is != was {
		return fmt.Errorf("the database URL names %s instead of %s, which needs a restart", is, was)
	}
	db.target.Store(&target{o.URL, cfg.ConnConfig, old.config.Password})
	return nil
}

// useTarget makes a connection that is about to be opened use the current credentials.
func (db *DB) useTarget(_ context.Context, c *pgx.ConnConfig) error {
	*c = *db.target.Load().config.Copy()
	return nil
}

// redact removes passwords from a text.
func (db *DB) redact(text string) string {
	t := db.target.Load()
	return redact(redact(text, t.config.Password), t.replaced)
}

// modeInURL finds sslmode in a URL or in a connection string of keywords.
var modeInURL = regexp.MustCompile(`(?:^|[?&\s])sslmode\s*=\s*'?([a-z-]*)`)

// urlWithTLS returns the URL with the files of o.TLS as its parameters. Without an sslmode in
// the URL, a CA file means verify-full.
func urlWithTLS(o Options) (string, error) {
	files := o.TLS
	if len(files.Paths()) == 0 {
		return o.URL, nil
	}
	if _, err := files.Load("database"); err != nil {
		return "", err
	}
	mode := ""
	if found := modeInURL.FindStringSubmatch(o.URL); found != nil {
		mode = found[1]
	}
	set := url.Values{}
	if files.CA != "" {
		switch {
		case strings.Contains(o.URL, "sslrootcert="):
			return "", errors.New("--database-ca-file and sslrootcert in the database URL are both given: leave one of them out")
		case mode == "":
			set.Set("sslmode", "verify-full")
		case mode != "require" && mode != "verify-ca" && mode != "verify-full":
			return "", fmt.Errorf("--database-ca-file has no effect with sslmode=%s in the database URL: use verify-full", mode)
		}
		set.Set("sslrootcert", files.CA)
	}
	if files.Cert != "" {
		switch {
		case strings.Contains(o.URL, "sslcert="):
			return "", errors.New("--database-client-cert-file and sslcert in the database URL are both given: leave one of them out")
		case mode == "disable":
			return "", errors.New("--database-client-cert-file has no effect with sslmode=disable in the database URL: use verify-full")
		}
		set.Set("sslcert", files.Cert)
		set.Set("sslkey", files.Key)
	}
	return withParameters(o.URL, set), nil
}

// withParameters adds parameters to a URL or to a connection string of keywords.
func withParameters(raw string, set url.Values) string {
	if strings.HasPrefix(raw, "postgres://") || strings.HasPrefix(raw, "postgresql://") {
		separator := "?"
		if strings.Contains(raw, "?") {
			separator = "&"
		}
		return raw + separator + set.Encode()
	}
	for name := range set {
		value := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(set.Get(name))
		raw += " " + name + "='" + value + "'"
	}
	return raw
}
