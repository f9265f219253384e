package app

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/certs"
	"github.com/roomspa/roomspa/internal/console"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/unseen"
)

// Options configure one replica. The struct tags are the flags of `roomspa serve`, the
// environment variables, and the table in docs/configuration.md.
type Options struct {
	Listen    string `name:"listen" default:":8000" placeholder:"ADDR" group:"Listeners" help:"Address of the public listener, for WebSockets and the HTTP API."`
	OpsListen string `name:"ops-listen" default:":9090" placeholder:"ADDR" group:"Listeners" help:"Address of the ops listener, for /livez, /readyz, /metrics and /debug/. Never expose it through the ingress."`
	OpsToken  string `name:"ops-token" placeholder:"TOKEN" secret:"true" group:"Listeners" help:"Token of 16 bytes or more that /debug/ on the ops listener requires (Authorization: Bearer). Without one, /debug/ answers only requests from the same host, as with kubectl port-forward. /livez, /readyz and /metrics need no token."`
	Replica   string `name:"replica" placeholder:"NAME" group:"Listeners" help:"Name of this replica in logs, greetings and headers. Default: the host name."`

	TrustedProxies []netip.Prefix `name:"trusted-proxies" placeholder:"CIDR" group:"Listeners" help:"Comma-separated CIDR ranges of trusted proxies. X-Forwarded-For and PROXY headers from other addresses are ignored. Ranges that clients can be inside are refused: wider than /8, or than /16 for IPv6."`
	ProxyProtocol  bool           `name:"proxy-protocol" group:"Listeners" help:"Accept the PROXY protocol (v1 or v2) on the public listener from trusted proxies. Requires --trusted-proxies."`
	Origins        []string       `name:"origins" placeholder:"ORIGIN" group:"Listeners" help:"Comma-separated origins that browsers may connect from, as in https://app.example.com. * allows every origin, null and file:// included. There are no other patterns. The server's own host is always allowed."`

	DatabaseURL              string        `name:"database-url" required:"" placeholder:"URL" secret:"true" group:"Postgres" help:"Postgres connection URL, as in postgres://user:password@host:5432/name. It may list several hosts, comma-separated; the one that accepts writes is used."`
	DatabaseMaxConnections   int           `name:"database-max-connections" default:"16" group:"Postgres" help:"Maximum number of Postgres connections of this replica."`
	DatabaseAcquireTimeout   time.Duration `name:"database-acquire-timeout" default:"2s" group:"Postgres" help:"Timeout for getting a connection from the pool."`
	DatabaseStatementTimeout time.Duration `name:"database-statement-timeout" default:"5s" group:"Postgres" help:"Timeout of a statement."`
	DatabaseLockTimeout      time.Duration `name:"database-lock-timeout" default:"1s" group:"Postgres" help:"Timeout for a lock that a statement waits for."`
	DatabasePooler           string        `name:"database-pooler" default:"none" enum:"none,pgbouncer" group:"Postgres" help:"Connection pooler in front of Postgres: none or pgbouncer. With pgbouncer (transaction mode), prepared statements are not used and timeouts are set in each transaction."`

	DatabaseTLS `embed:""`

	RedisURL        string `name:"redis-url" required:"" placeholder:"URL" secret:"true" group:"Redis" help:"Redis URL, as in redis://:password@host:6379/0, or rediss:// for TLS. In the modes sentinel and cluster it lists several hosts, comma-separated."`
	RedisMode       string `name:"redis-mode" default:"standalone" enum:"standalone,sentinel,cluster" group:"Redis" help:"Kind of Redis that --redis-url points at: standalone, sentinel or cluster."`
	RedisMasterName string `name:"redis-master-name" placeholder:"NAME" group:"Redis" help:"Name of the monitored master. Required in mode sentinel."`
	RedisPrefix     string `name:"redis-prefix" default:"roomspa:" placeholder:"TEXT" group:"Redis" help:"Prefix of all Redis keys and channels. Replicas with different prefixes do not exchange messages."`

	RedisTLS `embed:""`

	JWTSecrets      []string      `name:"jwt-secret" sep:"none" placeholder:"SECRET" secret:"true" group:"Tokens" help:"HS256 secrets of at least 32 bytes, comma-separated. The first one signs new tokens; all of them verify tokens. Blanks around a secret do not count, and all else belongs to it. One of this, --jwt-secret-file and --jwt-keys-file is required."`
	JWTSecretFile   string        `name:"jwt-secret-file" placeholder:"FILE" group:"Tokens" help:"File with the HS256 secrets, one per line or comma-separated, as in --jwt-secret. It is read every 2s, and new secrets apply without a restart or closed sockets. If the new content is invalid, an error is logged and the previous secrets stay in use."`
	JWTKeysFile     string        `name:"jwt-keys-file" placeholder:"FILE" group:"Tokens" help:"JSON file with the HS256 secrets, for secrets with a comma and for key ids (kid): {\"keys\": [{\"kid\": \"2026\", \"secret\": \"...\"}, {\"secret\": \"...\"}]}. It is read again as --jwt-secret-file is."`
	AccessTokenTTL  time.Duration `name:"access-token-ttl" default:"300s" group:"Tokens" help:"Lifetime of an access token."`
	RefreshTokenTTL time.Duration `name:"refresh-token-ttl" default:"168h" group:"Tokens" help:"Lifetime of a refresh token."`
	JWKS            string        `name:"jwks" placeholder:"URL|FILE" group:"Tokens" help:"JWK Set (https URL or file) whose RS256, ES256 and EdDSA keys verify access tokens too. If it is unavailable, the last known keys stay in use."`
	JWKSIssuer      string        `name:"jwks-issuer" placeholder:"TEXT" group:"Tokens" help:"Required iss claim of tokens that are signed by a key of --jwks. Set it if these keys also sign tokens for other services."`
	JWKSAudience    string        `name:"jwks-audience" placeholder:"TEXT" group:"Tokens" help:"Required aud claim of tokens that are signed by a key of --jwks."`

	SoftLimit        int           `name:"soft-limit" default:"18000" group:"Limits" help:"Number of sockets above which new ones are asked to retry later (1013 busy)."`
	HardLimit        int           `name:"hard-limit" default:"20000" group:"Limits" help:"Number of sockets above which handshakes are refused before the upgrade (503)."`
	MemoryLimit      int           `name:"memory-limit" default:"0" placeholder:"BYTES" group:"Limits" help:"Memory limit in bytes. Above 90 % of it new sockets are asked to retry later (1013 busy). Above 95 % handshakes are refused (503). Sign-ins that do not fit are refused (503 busy). 0 means the limit of the control group, which is read again every 5 seconds. With any other value only the memory of the serving process counts. Requires Linux."`
	AddressShare     float64       `name:"address-share" default:"0.25" group:"Limits" help:"Share of the connections that one client address (IPv6: /64 prefix) may hold once half of them are in use, and of the requests without a valid token. An address that causes more than 20 refusals a second gets further ones later. An IPv6 /48 may hold twice as many connections. Trusted proxies have no share; their clients do. 1 disables the check."`
	UserSockets      int           `name:"user-sockets" default:"16" group:"Limits" help:"Maximum number of sockets of one user on this replica. A further one is refused (4003 too_many_sockets). 0 means no limit."`
	MaxHandshakes    int           `name:"max-handshakes" default:"256" group:"Limits" help:"Maximum number of concurrent handshakes. One that waits longer than 2s for its turn is asked to retry later (1013 busy)."`
	MaxMessageBytes  int           `name:"max-message-bytes" default:"65536" group:"Limits" help:"Maximum size of a WebSocket message in bytes (1009 too_large)."`
	MaxMessageLength int           `name:"max-message-length" default:"4000" group:"Limits" help:"Maximum length of a chat message in code points."`
	MessageRate      float64       `name:"message-rate" default:"20" group:"Limits" help:"Maximum rate of frames from one socket, per second."`
	MessageBurst     int           `name:"message-burst" default:"40" group:"Limits" help:"Number of frames that a socket may send in a burst above --message-rate."`
	PingInterval     time.Duration `name:"ping-interval" default:"25s" group:"Limits" help:"Interval between pings. It must be shorter than the idle timeout of every proxy between clients and server."`
	PongTimeout      time.Duration `name:"pong-timeout" default:"10s" group:"Limits" help:"Timeout for the pong to a ping. Then the socket is closed."`
	WriteTimeout     time.Duration `name:"write-timeout" default:"10s" group:"Limits" help:"Timeout for writing to a socket. A peer that takes no byte within it is cut. One that takes neither all frames nor 32 KiB is closed (1013 slow_consumer)."`
	PositionTTL      time.Duration `name:"position-ttl" default:"120s" group:"Limits" help:"Time for which the last position of a user is kept."`
	LoginConcurrency int           `name:"login-concurrency" default:"0" group:"Limits" help:"Maximum number of concurrent password verifications. Each takes 64 MiB of memory (128 MiB for hashes imported from Django). 0 means one per four CPUs, in at most a quarter of the memory limit, but at least one."`
	LoginQueue       int           `name:"login-queue" default:"32" group:"Limits" help:"Maximum number of sign-ins that wait for password verification. Others are asked to retry later (503 busy). Clients that signed in to the account from their address before have half of the places, and client networks take turns."`

	LoginPerAccountAddress int `name:"login-per-account-address" default:"10" group:"Limits" help:"Maximum number of failed sign-ins per minute to one account from one client address (IPv6: /64 prefix; a /48 may have 4 times as many). Other addresses can still sign in to the account."`
	LoginPerAddress        int `name:"login-per-address" default:"20" group:"Limits" help:"Maximum number of failed sign-ins per minute from one client address (IPv6: /64 prefix), over all accounts. An IPv6 /56 may have 4 times as many, a /48 16 times."`
	LoginPerAccount        int `name:"login-per-account" default:"300" group:"Limits" help:"Maximum number of failed sign-ins per minute to one account, over all addresses. Above it only clients that signed in to the account from their address before can sign in for a while, so keep it large."`

	RebalanceRate      float64 `name:"rebalance-rate" default:"10" group:"Rebalancing" help:"Maximum number of sockets per second that this replica closes (1012 rebalance) while it has far more sockets than the mean of all replicas. 0 disables rebalancing."`
	RebalanceThreshold int     `name:"rebalance-threshold" default:"20" group:"Rebalancing" help:"Rebalancing starts when this replica has this percentage more sockets than the mean of all replicas, and stops at a quarter of it. With few sockets per replica the effective threshold is higher, because random differences are larger."`

	ClassicClients bool          `name:"classic-clients" group:"Predecessor" help:"Serve the apps of the Django predecessor: its frames on /ws/chat/, /ws/location/ and /ws/test/ for clients that do not ask for roomspa's protocol, and its paths below /chat/."`
	ClassicMaxAge  time.Duration `name:"classic-max-age" default:"24h" group:"Predecessor" help:"Age at which the socket of an app of the predecessor is closed (1012 max_age). Such a socket outlives its token."`
	LocationFrom   string        `name:"location-from" default:"" enum:",therapist,both" placeholder:"SIDES" group:"Predecessor" help:"Whose positions are passed on: therapist or both. Default: therapist with --classic-clients, otherwise both. Apps of the predecessor get the positions of therapists only."`
	SupportMaySend bool          `name:"support-may-send" group:"Predecessor" help:"Let users with the role support send chat messages in the rooms that they read."`

	Console      bool   `name:"console" group:"Console" help:"Serve the web console at /console/: a client for both sides of a room on the public listener, and the fleet on the ops listener."`
	ConsoleTiles string `name:"console-tiles" placeholder:"URL" group:"Console" help:"URL of the map tiles that the web console shows, as in https://tile.openstreetmap.org/{z}/{x}/{y}.png. Browsers load them from there. Without it the map has a grid."`

	Presence string `name:"presence" default:"on" enum:"on,off" group:"Presence" help:"Tell clients whether the other side is online and when it was last seen: on or off."`

	ShutdownWait time.Duration `name:"shutdown-wait" default:"5s" group:"Shutdown" help:"Time between turning unready and draining, until load balancers send no more clients."`
	DrainTimeout time.Duration `name:"drain-timeout" default:"20s" group:"Shutdown" help:"Time over which clients are asked one by one to reconnect elsewhere. The last 2.5s of it are for closing the last sockets."`
	FlushTimeout time.Duration `name:"flush-timeout" default:"5s" group:"Shutdown" help:"Time for flushing the last commits and publishes after draining."`
	GracePeriod  time.Duration `name:"grace-period" default:"0s" group:"Shutdown" help:"Grace period before SIGKILL (terminationGracePeriodSeconds). The replica refuses to start if --shutdown-wait, --drain-timeout and --flush-timeout do not fit in it. 0 disables the check."`

	LogFormat string `name:"log-format" default:"text" enum:"text,json" group:"Logging" help:"Format of the log on standard output: text or json."`
	LogLevel  string `name:"log-level" default:"info" enum:"debug,info,warn,error" group:"Logging" help:"Lowest level that is logged: debug, info, warn or error."`
	LogMask   bool   `name:"log-mask" group:"Logging" help:"Mask personal data in the log, as in u***@example.com."`

	// SecretFiles has the files that secrets were read from, by the name of the option. They
	// are read again while the replica runs.
	SecretFiles map[string]string `kong:"-"`
	// SystemRoot is the directory that has /proc and /sys, which tell the memory limit. Empty
	// means "/".
	SystemRoot string `kong:"-"`
}

// DatabaseTLS names the certificates for Postgres.
type DatabaseTLS struct {
	CA   string `name:"database-ca-file" placeholder:"FILE" group:"Postgres" help:"PEM file with the CA certificates that the certificate of Postgres is verified with. Default: those of the system. Without an sslmode in the database URL it means sslmode=verify-full. It is read every 2s, and new connections use the new content."`
	Cert string `name:"database-client-cert-file" placeholder:"FILE" group:"Postgres" help:"PEM file with the client certificate for Postgres. Requires --database-client-key-file. It is read again as --database-ca-file is."`
	Key  string `name:"database-client-key-file" placeholder:"FILE" group:"Postgres" help:"PEM file with the private key of --database-client-cert-file."`
}

// RedisTLS names the certificates for Redis.
type RedisTLS struct {
	CA   string `name:"redis-ca-file" placeholder:"FILE" group:"Redis" help:"PEM file with the CA certificates that the certificates of Redis and its sentinels are verified with. Default: those of the system. Requires a rediss:// URL. It is read every 2s, and new connections use the new content."`
	Cert string `name:"redis-client-cert-file" placeholder:"FILE" group:"Redis" help:"PEM file with the client certificate for Redis. Requires --redis-client-key-file. It is read again as --redis-ca-file is."`
	Key  string `name:"redis-client-key-file" placeholder:"FILE" group:"Redis" help:"PEM file with the private key of --redis-client-cert-file."`
}

// maxRebalanceRate keeps rebalancing slow: each socket that is moved costs a scan of
// all sockets, and a handshake on another replica.
const maxRebalanceRate = 1000

// minMemory is less than a replica without sockets uses, in bytes.
const minMemory = 16 << 20

// minOpsToken is the least length of --ops-token in bytes.
const minOpsToken = 16

// Validate returns an error that names the first invalid option and the reason.
func (o *Options) Validate() error {
	for _, c := range []struct {
		ok   bool
		name string
		want string
	}{
		{o.DatabaseMaxConnections >= 5, "database-max-connections", "must be 5 or more"},
		{o.RedisMode != "sentinel" || o.RedisMasterName != "", "redis-master-name", "is required in redis-mode sentinel"},
		{o.HardLimit >= o.SoftLimit, "hard-limit", "must not be below soft-limit"},
		{o.SoftLimit > 0, "soft-limit", "must be 1 or more"},
		{o.MemoryLimit == 0 || o.MemoryLimit >= minMemory, "memory-limit", fmt.Sprintf("is in bytes: it must be 0, or %d or more", minMemory)},
		{o.AddressShare > 0 && o.AddressShare <= 1, "address-share", "must be above 0, and 1 or less"},
		{o.UserSockets >= 0, "user-sockets", "must not be negative"},
		{o.MaxHandshakes > 0, "max-handshakes", "must be 1 or more"},
		{o.MaxMessageBytes >= 1024, "max-message-bytes", "must be 1024 or more"},
		{o.MaxMessageLength > 0, "max-message-length", "must be 1 or more"},
		{o.MessageRate > 0 && o.MessageBurst > 0, "message-rate", "and message-burst must be above 0"},
		{o.PingInterval >= time.Second, "ping-interval", "must be 1s or more"},
		{o.PongTimeout >= time.Second, "pong-timeout", "must be 1s or more"},
		{o.WriteTimeout >= time.Second, "write-timeout", "must be 1s or more"},
		{o.PositionTTL >= time.Second, "position-ttl", "must be 1s or more"},
		{o.LoginConcurrency >= 0, "login-concurrency", "must not be negative"},
		{o.LoginQueue >= 0, "login-queue", "must not be negative"},
		{o.LoginPerAccountAddress > 0, "login-per-account-address", "must be 1 or more"},
		{o.LoginPerAddress >= o.LoginPerAccountAddress, "login-per-address", "must not be below login-per-account-address"},
		{o.LoginPerAccount >= o.LoginPerAccountAddress, "login-per-account", "must not be below login-per-account-address"},
		{o.hasSecrets() || o.JWTSecretFile != "" || o.JWTKeysFile != "", "jwt-secret", "or --jwt-secret-file is required: no JWT secret is given"},
		{!o.hasSecrets() || o.JWTSecretFile == "", "jwt-secret", "and --jwt-secret-file are both given (or their variables): leave one of them out"},
		{!o.hasSecrets() && o.JWTSecretFile == "" || o.JWTKeysFile == "", "jwt-keys-file", "and --jwt-secret or --jwt-secret-file are both given (or their variables): leave one of them out"},
		{o.JWKS != "" || o.JWKSIssuer == "" && o.JWKSAudience == "", "jwks-issuer", "and jwks-audience require jwks"},
		{o.AccessTokenTTL >= time.Second, "access-token-ttl", "must be 1s or more"},
		{o.RefreshTokenTTL >= time.Second, "refresh-token-ttl", "must be 1s or more"},
		{o.RebalanceRate >= 0 && o.RebalanceRate <= maxRebalanceRate, "rebalance-rate", fmt.Sprintf("must be between 0 and %d", maxRebalanceRate)},
		{o.RebalanceRate == 0 || o.RebalanceThreshold >= 5, "rebalance-threshold", "must be 5 or more: no load balancer distributes more evenly"},
		{!o.ClassicClients || o.ClassicMaxAge >= time.Minute, "classic-max-age", "must be 1m or more"},
		{o.OpsToken == "" || len(o.OpsToken) >= minOpsToken, "ops-token", fmt.Sprintf("must have %d bytes or more", minOpsToken)},
		{!slices.ContainsFunc(o.TrustedProxies, tooWide), "trusted-proxies", "contains a range that clients can be inside, so that they could choose their own address: name the networks of the proxies alone, not wider than /8 (IPv6: /16)"},
		{!o.ProxyProtocol || len(o.TrustedProxies) > 0, "proxy-protocol", "requires trusted-proxies"},
		{o.DrainTimeout >= 0 && o.ShutdownWait >= 0 && o.FlushTimeout > 0, "drain-timeout", "shutdown-wait and flush-timeout must not be negative"},
		{o.GracePeriod == 0 || o.GracePeriod > o.shutdown(), "grace-period", fmt.Sprintf("is %v, but must be above %v: shutdown-wait %v + drain-timeout %v + flush-timeout %v", o.GracePeriod, o.shutdown(), o.ShutdownWait, o.DrainTimeout, o.FlushTimeout)},
	} {
		if !c.ok {
			return fmt.Errorf("--%s %s", c.name, c.want)
		}
	}
	if o.ConsoleTiles != "" {
		if err := console.CheckTiles(o.ConsoleTiles); err != nil {
			return fmt.Errorf("--console-tiles %w", err)
		}
	}
	for _, entry := range o.Origins {
		if err := auth.CheckOrigin(entry); err != nil {
			return fmt.Errorf("--origins %w", err)
		}
	}
	return nil
}

// Warnings returns what is valid and may not be meant. They hold no secret.
func (o *Options) Warnings() (all []string) {
	if _, found := unseen.Ends(o.OpsToken); found != "" {
		all = append(all, "--ops-token has "+found+", which is taken as a part of it: remove that")
	}
	for _, p := range o.TrustedProxies {
		switch {
		case p != p.Masked():
			all = append(all, fmt.Sprintf("--trusted-proxies has %s, which means %s: write that, or %s for this address alone", p, p.Masked(), netip.PrefixFrom(p.Addr(), p.Addr().BitLen())))
		case p.Addr().IsGlobalUnicast() && !p.Addr().IsPrivate() && p.Bits() < 16 && p.Addr().Is4():
			all = append(all, fmt.Sprintf("--trusted-proxies has the public range %s: whoever is in it can choose an address", p))
		}
	}
	if _, err := os.Stat(podSecrets); err == nil && len(o.TrustedProxies) == 0 {
		all = append(all, "--trusted-proxies is empty in a pod: users who come through an ingress share its address and its limits (docs/operating.md has the networks)")
	}
	return all
}

// podSecrets is a directory that Kubernetes mounts into pods.
const podSecrets = "/var/run/secrets/kubernetes.io"

// tooWide reports whether a range of trusted proxies is so wide that clients can be inside.
func tooWide(p netip.Prefix) bool {
	switch a := p.Addr(); {
	case a.Is4():
		return p.Bits() < 8
	case a.Is4In6():
		return p.Bits() < 96+8
	case a.IsPrivate(): // fc00::/7
		return p.Bits() < 7
	}
	return p.Bits() < 16
}

// shutdown is the longest time from SIGTERM to the end of the process.
func (o *Options) shutdown() time.Duration { return o.ShutdownWait + o.DrainTimeout + o.FlushTimeout }

// Name returns the name of this replica: the given one, or the host name.
func (o *Options) Name() string {
	host, _ := os.Hostname() // a replica works without one
	return cmp.Or(o.Replica, host, "roomspa")
}

// Postgres returns the options of the database.
func (o *Options) Postgres() postgres.Options {
	return postgres.Options{
		URL: o.DatabaseURL, MaxConnections: o.DatabaseMaxConnections, AcquireTimeout: o.DatabaseAcquireTimeout,
		StatementTimeout: o.DatabaseStatementTimeout, LockTimeout: o.DatabaseLockTimeout, PgBouncer: o.DatabasePooler == "pgbouncer",
		TLS: certs.Files(o.DatabaseTLS),
	}
}

// Redis returns the options of the Redis client.
func (o *Options) Redis() redis.Options {
	return redis.Options{
		URL: o.RedisURL, Mode: o.RedisMode, MasterName: o.RedisMasterName, Prefix: o.RedisPrefix,
		Replica: o.Replica, PositionTTL: o.PositionTTL, TLS: certs.Files(o.RedisTLS),
	}
}

func (o *Options) session() session.Options {
	return session.Options{
		MaxMessageBytes: o.MaxMessageBytes, MessageRate: o.MessageRate, MessageBurst: o.MessageBurst,
		PingInterval: o.PingInterval, PongTimeout: o.PongTimeout, WriteTimeout: o.WriteTimeout,
		SoftLimit: o.SoftLimit, HardLimit: o.HardLimit, UserSockets: o.UserSockets, ClassicMaxAge: o.ClassicMaxAge,
	}
}

// hasSecrets reports whether --jwt-secret is given. An empty variable is not.
func (o *Options) hasSecrets() bool { return len(auth.ParseSecrets(o.JWTSecrets...)) > 0 }

// therapistsOnly reports whether positions of customers are refused.
func (o *Options) therapistsOnly() bool {
	return o.LocationFrom == "therapist" || o.LocationFrom == "" && o.ClassicClients
}

// Secrets loads the HS256 secrets, and returns the file that keeps them up to date. An
// error names the option.
func (o *Options) Secrets(log *slog.Logger, reg prometheus.Registerer) (*auth.SecretFile, *auth.Keys, error) {
	file, keys, err := auth.OpenSecretFile(auth.SecretSource{Texts: o.JWTSecrets, File: o.JWTSecretFile, KeysFile: o.JWTKeysFile}, log, reg)
	switch {
	case err == nil:
		return file, keys, nil
	case o.JWTSecretFile != "":
		return nil, nil, fmt.Errorf("--jwt-secret-file: %w", err)
	case o.JWTKeysFile != "":
		return nil, nil, fmt.Errorf("--jwt-keys-file: %w", err)
	}
	return nil, nil, fmt.Errorf("--jwt-secret: %w", err)
}

// KeySet opens the JWK Set; without one it has no keys. An error names the option.
func (o *Options) KeySet(log *slog.Logger, reg prometheus.Registerer) (*auth.JWKS, error) {
	set, err := auth.NewJWKS(auth.JWKSOptions{Source: o.JWKS, Issuer: o.JWKSIssuer, Audience: o.JWKSAudience}, log, reg)
	if err != nil {
		return nil, fmt.Errorf("--jwks: %w", err)
	}
	return set, nil
}
