package redis

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/unseen"
)

// errURL is the only error for a malformed URL: any part of such a URL may belong to the
// password.
var errURL = errors.New("the URL cannot be read: it must be like redis://user:password@host:6379/0 " +
	"(rediss:// for TLS), with characters such as / @ # ? % percent-encoded in the password")

// foreignScheme matches schemes of other programs. No other one is quoted: it may be a part of a
// password.
var foreignScheme = regexp.MustCompile(`^(?i:redis-sentinel|rediss?[+-][a-z]+|valkeys?|tcp|tls|unix|https?|amqps?|memcached|postgres(?:ql)?(?:\+[a-z0-9]+)?|jdbc:[a-z]+|jdbc):`)

// universal returns the options of go-redis.
func (o *Options) universal() (*goredis.UniversalOptions, error) {
	if strings.ContainsAny(o.Prefix, "{}") {
		return nil, errors.New("the prefix must not contain { or }: they mark the part of a key that chooses its slot in Redis Cluster")
	}
	u, err := parse(o.URL)
	if err != nil {
		return nil, err
	}
	if err := o.addCertificates(u); err != nil {
		return nil, err
	}
	switch o.Mode {
	case "", "standalone":
		if len(u.Addrs) > 1 {
			return nil, errors.New("the URL lists several hosts, which needs the mode sentinel or cluster")
		}
	case "sentinel":
		if o.MasterName == "" {
			return nil, errors.New("mode sentinel needs the name of the master")
		}
		u.MasterName = o.MasterName
	case "cluster":
		if u.DB != 0 {
			return nil, errors.New("Redis Cluster has no database but 0") //nolint:staticcheck // a name
		}
		u.IsClusterMode = true
	default:
		return nil, fmt.Errorf("unknown mode %q: standalone, sentinel or cluster", o.Mode)
	}
	o.defaults(u)
	return u, nil
}

// addCertificates loads the certificates.
func (o *Options) addCertificates(u *goredis.UniversalOptions) error {
	switch files, err := o.TLS.Load("redis"); {
	case err != nil:
		return err
	case len(o.TLS.Paths()) == 0:
	case u.TLSConfig != nil && u.TLSConfig.InsecureSkipVerify && o.TLS.CA != "":
		return errors.New("--redis-ca-file has no effect with skip_verify in the URL: leave one of them out")
	case u.TLSConfig == nil:
		return errors.New("--redis-ca-file and --redis-client-cert-file have no effect with redis:// in the URL: use rediss:// for TLS")
	default:
		u.TLSConfig.RootCAs, u.TLSConfig.Certificates = files.RootCAs, files.Certificates
	}
	return nil
}

// parse parses a URL that may list several hosts, which net/url does not accept.
func parse(raw string) (*goredis.UniversalOptions, error) {
	if _, found := unseen.Ends(raw); found != "" && raw != "" {
		return nil, fmt.Errorf("the URL has %s: remove that", found)
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	switch {
	case foreignScheme.MatchString(raw):
		return nil, fmt.Errorf("the scheme must be redis:// (rediss:// for TLS), not %s", foreignScheme.FindString(raw))
	case !ok || scheme != "redis" && scheme != "rediss":
		return nil, errURL
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	var addrs []string
	for host := range strings.SplitSeq(hosts, ",") {
		addr, err := withPort(host)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	tail, sentinelUser, sentinelPassword, err := cutSentinel(tail)
	if err != nil {
		return nil, err
	}
	one, err := goredis.ParseURL(scheme + "://" + user + addrs[0] + tail)
	if err != nil {
		return nil, errURL
	}
	if one.TLSConfig != nil {
		one.TLSConfig.ServerName = "" // so that each host is verified by its own name
	}
	return &goredis.UniversalOptions{
		Addrs: addrs, Username: one.Username, Password: one.Password, DB: one.DB, TLSConfig: one.TLSConfig,
		SentinelUsername: sentinelUser, SentinelPassword: sentinelPassword,
		DialTimeout: one.DialTimeout, ReadTimeout: one.ReadTimeout, WriteTimeout: one.WriteTimeout,
		PoolSize: one.PoolSize, PoolTimeout: one.PoolTimeout, MinIdleConns: one.MinIdleConns,
		ConnMaxIdleTime: one.ConnMaxIdleTime, ConnMaxLifetime: one.ConnMaxLifetime,
	}, nil
}

func withPort(host string) (string, error) {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host += ":6379"
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil || name == "" {
		return "", errURL
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
		return "", errURL
	}
	return host, nil
}

// cutSentinel removes the credentials of the sentinels from the query, since go-redis
// does not accept them there.
func cutSentinel(tail string) (rest, user, password string, err error) {
	path, query, ok := strings.Cut(tail, "?")
	if !ok {
		return tail, "", "", nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", "", "", errURL
	}
	for _, name := range []string{"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "tls_ca_cert_file", "sslrootcert", "sslcert", "sslkey", "cacert", "cert", "key"} {
		if values.Has(name) {
			return "", "", "", fmt.Errorf("the URL has the parameter %s: name files of certificates with --redis-ca-file, --redis-client-cert-file and --redis-client-key-file", name)
		}
	}
	user, password = values.Get("sentinel_username"), values.Get("sentinel_password")
	values.Del("sentinel_username")
	values.Del("sentinel_password")
	return path + "?" + values.Encode(), user, password, nil
}

// address describes the address of Redis, without credentials.
func address(u *goredis.UniversalOptions) string {
	hosts := strings.Join(u.Addrs, ",")
	switch {
	case u.IsClusterMode:
		return "cluster " + hosts
	case u.MasterName != "":
		return "sentinel " + hosts + " master " + u.MasterName
	default:
		return hosts
	}
}
