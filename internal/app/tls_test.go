package app_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/check"
)

// tlsCase is one way in which TLS with a store works or fails.
type tlsCase struct {
	certificate tls.Certificate
	clients     *world.Authority   // that the server wants client certificates of
	files       func(*app.Options) // that both stores have
	want        []string           // in the error; none: it works
}

func tlsCases(t *testing.T) map[string]tlsCase {
	t.Helper()
	authority, other := world.NewAuthority(t, "The Private CA"), world.NewAuthority(t, "Another CA")
	now := time.Now()
	from, to := now.Add(-time.Hour), now.Add(time.Hour)
	good := authority.Issue(t, from, to, "localhost")
	ca := func(a *world.Authority) func(*app.Options) {
		path := a.File(t)
		return func(o *app.Options) { o.DatabaseTLS.CA, o.RedisTLS.CA = path, path }
	}
	cert, key := other.ClientFiles(t)
	trusted := ca(authority)
	withClient := func(o *app.Options) {
		trusted(o)
		o.DatabaseTLS.Cert, o.DatabaseTLS.Key, o.RedisTLS.Cert, o.RedisTLS.Key = cert, key, cert, key
	}
	return map[string]tlsCase{
		"good":               {good, nil, trusted, nil},
		"no CA file":         {good, nil, func(*app.Options) {}, []string{"unknown authority", "The Private CA"}},
		"another CA":         {good, nil, ca(other), []string{"unknown authority", "The Private CA"}},
		"another name":       {authority.Issue(t, from, to, "db.internal", "db2.internal"), nil, trusted, []string{`not for "localhost"`, "db.internal, db2.internal"}},
		"no name":            {authority.Issue(t, from, to), nil, trusted, []string{`not for "localhost"`, "no names"}},
		"expired":            {authority.Issue(t, from, from.Add(time.Minute), "localhost"), nil, trusted, []string{"expired at " + from.Add(time.Minute).UTC().Format(time.RFC3339)}},
		"not yet valid":      {authority.Issue(t, to, to.Add(time.Minute), "localhost"), nil, trusted, []string{"not valid before " + to.UTC().Format(time.RFC3339)}},
		"a client is known":  {good, other, withClient, nil},
		"no client is known": {good, other, trusted, []string{"refused the TLS handshake", "client certificate"}},
	}
}

func (c *tlsCase) config() *tls.Config {
	config := &tls.Config{Certificates: []tls.Certificate{c.certificate}, MinVersion: tls.VersionTLS12}
	if c.clients != nil {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		config.ClientCAs.AddCert(c.clients.Certificate)
	}
	return config
}

// overTLS returns the URLs of a world's stores behind TLS.
func overTLS(t *testing.T, w *world.World, config func() *tls.Config) (databaseURL, redisURL string) {
	t.Helper()
	through := func(raw, scheme string, postgres bool) string {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		u.Scheme, u.RawQuery = scheme, ""
		u.Host = "localhost:" + world.TLSFront(t, world.Host(t, raw), postgres, config)
		return u.String()
	}
	return through(w.DatabaseURL, "postgres", true), through(w.RedisURL, "rediss", false)
}

func TestEachFailureOfTLSHasItsOwnWords(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	for name, c := range tlsCases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := w.Options(t, c.files)
			o.DatabaseURL, o.RedisURL = overTLS(t, w, c.config)
			if o.DatabaseTLS.CA == "" {
				o.DatabaseURL += "?sslmode=verify-full" // which a CA file means otherwise
			}
			var results []ops.Result
			world.Eventually(t, "the checks are good or not", func() (bool, any) { // a busy machine may answer too late
				var ok bool
				results, ok = check.Run(t.Context(), o, check.Selection{Database: true, Redis: true})
				return ok == (c.want == nil), results
			})
			for _, r := range results {
				if r.Name != "database" && r.Name != "redis" {
					continue
				}
				for _, word := range c.want {
					if !strings.Contains(r.Error, word) {
						t.Errorf("%s: %q, without %q", r.Name, r.Error, word)
					}
				}
				if _, word, _ := strings.Cut(r.Cause, "_"); word != causeOfTLS(c.want) {
					t.Errorf("%s: cause %q", r.Name, r.Cause)
				}
			}
		})
	}
}

// causeOfTLS returns the cause for the words of an error, without the name of the store.
func causeOfTLS(words []string) string {
	switch text := strings.Join(words, " "); {
	case text == "":
		return ""
	case strings.Contains(text, "unknown authority"):
		return "unknown_ca"
	case strings.Contains(text, "client certificate"):
		return "client_certificate"
	}
	return "tls"
}

// TestAReplacedCAIsUsed replaces the certificates of the servers and of the CA while a replica runs.
func TestAReplacedCAIsUsed(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	first, second := world.NewAuthority(t, "The first CA"), world.NewAuthority(t, "The second CA")
	ca := first.File(t)
	certificates := make(chan tls.Certificate, 1)
	certificates <- first.Issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "localhost")
	far := *w
	far.DatabaseURL, far.RedisURL = overTLS(t, w, func() *tls.Config {
		c := <-certificates
		certificates <- c
		return &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}
	})
	r := far.Ready(t, "a", func(o *app.Options) { o.DatabaseTLS.CA, o.RedisTLS.CA = ca, ca })
	s := r.Chat(t, world.Customer)
	<-certificates
	certificates <- second.Issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "localhost")
	pem, err := os.ReadFile(second.File(t))
	if err == nil {
		err = os.WriteFile(ca, pem, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	world.Eventually(t, "the file is read again for both stores", func() (bool, any) {
		return strings.Count(r.Log.String(), "was read again: ") == 2, r.Log.String()
	})
	w.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'roomspa'")
	s.Deliver(t, "over a new connection", "1")
}

func TestCertificatesThatHaveNoEffectAreRefused(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.EmptyDatabase)
	ca := world.NewAuthority(t, "A CA").File(t)
	for want, edit := range map[string]func(*app.Options){
		"no effect with sslmode=disable":             func(o *app.Options) { o.DatabaseTLS.CA = ca },
		"no effect with redis://":                    func(o *app.Options) { o.RedisTLS.CA = ca },
		"need each other":                            func(o *app.Options) { o.RedisTLS.Cert = ca },
		"--database-ca-file: open /nonexistent":      func(o *app.Options) { o.DatabaseTLS.CA = "/nonexistent" },
		"no certificate in PEM format":               func(o *app.Options) { o.DatabaseTLS.CA = "/dev/null" },
		"the URL has the parameter ssl_ca_certs":     func(o *app.Options) { o.RedisURL = "rediss://localhost/0?ssl_ca_certs=/ca.crt" },
		"sslrootcert in the database URL are both":   func(o *app.Options) { o.DatabaseTLS.CA, o.DatabaseURL = ca, "postgres://localhost/x?sslrootcert="+ca },
		"--redis-ca-file has no effect with skip_ve": func(o *app.Options) { o.RedisTLS.CA, o.RedisURL = ca, "rediss://localhost/0?skip_verify=true" },
	} {
		results, ok := check.Run(t.Context(), w.Options(t, edit), check.Selection{Database: true, Redis: true})
		all := ""
		for _, r := range results {
			all += r.Error + "\n"
		}
		if ok || !strings.Contains(all, want) {
			t.Errorf("%q, without %q", all, want)
		}
	}
}
