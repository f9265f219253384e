package app

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"time"
)

// Options is everything that one replica can be told. The struct tags are the
// flags of `roomspa serve`, the environment variables and the table in
// docs/configuration.md: one place for all three.
type Options struct {
	Listen    string `name:"listen" default:":8000" placeholder:"ADDR" group:"Listeners" help:"Address of the public listener: WebSockets and sign-in."`
	OpsListen string `name:"ops-listen" default:":9090" placeholder:"ADDR" group:"Listeners" help:"Address of the ops listener: /livez, /readyz, /metrics, /debug/. Never put it behind the ingress."`
	Replica   string `name:"replica" placeholder:"NAME" group:"Listeners" help:"Name of this replica in logs and greetings. Default: the host name."`

	TrustedProxies []netip.Prefix `name:"trusted-proxies" placeholder:"CIDR" group:"Listeners" help:"Networks whose X-Forwarded-For (or PROXY protocol) is believed, comma-separated. From anybody else it is ignored."`
	ProxyProtocol  bool           `name:"proxy-protocol" group:"Listeners" help:"Read the PROXY protocol (v1 or v2) on the public listener from the trusted proxies."`
	Origins        []string       `name:"origins" placeholder:"ORIGIN" group:"Listeners" help:"Origins that browsers may connect from beside the own host, comma-separated, as in https://app.example.com."`

	DatabaseURL              string        `name:"database-url" required:"" placeholder:"URL" secret:"true" group:"Postgres" help:"Postgres, as in postgres://user:password@host:5432/name. Several hosts may be listed, comma-separated."`
	DatabaseMaxConnections   int           `name:"database-max-connections" default:"16" group:"Postgres" help:"Connections that this replica opens at most."`
	DatabaseAcquireTimeout   time.Duration `name:"database-acquire-timeout" default:"2s" group:"Postgres" help:"How long to wait for a free connection."`
	DatabaseStatementTimeout time.Duration `name:"database-statement-timeout" default:"5s" group:"Postgres" help:"How long a statement may run."`
	DatabaseLockTimeout      time.Duration `name:"database-lock-timeout" default:"1s" group:"Postgres" help:"How long a statement may wait for a lock."`
	DatabasePooler           string        `name:"database-pooler" default:"none" enum:"none,pgbouncer" group:"Postgres" help:"What stands in front of Postgres: none, or pgbouncer in transaction mode (no prepared statements, time-outs set for each transaction)."`

	RedisURL        string `name:"redis-url" required:"" placeholder:"URL" secret:"true" group:"Redis" help:"Redis, as in redis://:password@host:6379/0 (rediss:// for TLS). In the modes sentinel and cluster, hosts are listed comma-separated."`
	RedisMode       string `name:"redis-mode" default:"standalone" enum:"standalone,sentinel,cluster" group:"Redis" help:"What redis-url points at: standalone, sentinel or cluster."`
	RedisMasterName string `name:"redis-master-name" placeholder:"NAME" group:"Redis" help:"Name of the monitored master, in mode sentinel."`
	RedisPrefix     string `name:"redis-prefix" default:"roomspa:" placeholder:"TEXT" group:"Redis" help:"Prefix of every key and channel. Replicas with different prefixes do not hear each other."`

	JWTSecrets      []string      `name:"jwt-secret" sep:"," placeholder:"SECRET" secret:"true" group:"Tokens" help:"HS256 secrets of 32 bytes or more, comma-separated: the first one signs, all verify. This or jwt-secret-file is needed. A secret may be named as in kid=secret; one that holds a = itself is written =secret."`
	JWTSecretFile   string        `name:"jwt-secret-file" placeholder:"FILE" group:"Tokens" help:"File that holds those secrets instead, one a line or comma-separated. It is looked at every 2 s: what is new in it counts for new handshakes and sign-ins without a restart, and open sockets stay. What cannot be used is logged, and the former secrets stay."`
	AccessTokenTTL  time.Duration `name:"access-token-ttl" default:"300s" group:"Tokens" help:"How long an access token lives."`
	RefreshTokenTTL time.Duration `name:"refresh-token-ttl" default:"168h" group:"Tokens" help:"How long a refresh token lives."`
	JWKS            string        `name:"jwks" placeholder:"URL|FILE" group:"Tokens" help:"JWK Set whose RS256, ES256 and EdDSA keys verify access tokens too: an https URL or a file. The keys that were seen last stay good while it is away."`
	JWKSIssuer      string        `name:"jwks-issuer" placeholder:"TEXT" group:"Tokens" help:"The iss that tokens of those keys must have. Set it where the keys sign for other services too."`
	JWKSAudience    string        `name:"jwks-audience" placeholder:"TEXT" group:"Tokens" help:"The aud that tokens of those keys must have, likewise."`

	SoftLimit        int           `name:"soft-limit" default:"18000" group:"Limits" help:"Sockets above which new ones are told to come back later (1013 busy)."`
	HardLimit        int           `name:"hard-limit" default:"20000" group:"Limits" help:"Sockets above which handshakes are refused before the upgrade (503)."`
	MemoryLimit      int           `name:"memory-limit" default:"0" placeholder:"BYTES" group:"Limits" help:"Memory that the replica may use, in bytes. Above 90 % of it new sockets are told to come back later (1013 busy), above 95 % handshakes are refused (503); of less than 120 MiB, when 12 and 6 MiB are left. Sign-ins for which there is none get 503 busy. 0: the limit of its control group, and all that the kernel counts there; none where that has no limit. Otherwise the resident memory of the serving process is measured, without those that verify passwords. Needs Linux."`
	MaxHandshakes    int           `name:"max-handshakes" default:"256" group:"Limits" help:"Handshakes that may be at work at once; one that waits longer than 2 s for its turn is told to come back (1013 busy)."`
	MaxMessageBytes  int           `name:"max-message-bytes" default:"65536" group:"Limits" help:"Largest WebSocket message, in bytes (1009 too_large)."`
	MaxMessageLength int           `name:"max-message-length" default:"4000" group:"Limits" help:"Longest chat message, in code points."`
	MessageRate      float64       `name:"message-rate" default:"20" group:"Limits" help:"Frames a second that a socket may send."`
	MessageBurst     int           `name:"message-burst" default:"40" group:"Limits" help:"Frames that a socket may send at once."`
	PingInterval     time.Duration `name:"ping-interval" default:"25s" group:"Limits" help:"Time between pings. Keep it below the idle time-out of every proxy on the way."`
	PongTimeout      time.Duration `name:"pong-timeout" default:"10s" group:"Limits" help:"How long a pong may take."`
	WriteTimeout     time.Duration `name:"write-timeout" default:"10s" group:"Limits" help:"A peer that takes no byte for this long is cut."`
	PositionTTL      time.Duration `name:"position-ttl" default:"120s" group:"Limits" help:"How long a last known position is kept."`
	LoginConcurrency int           `name:"login-concurrency" default:"0" group:"Limits" help:"Passwords that are verified at once, each by a process of low priority that takes 64 MiB (128 MiB for hashes that were carried over). 0: one for every four processors, as long as all together take no more than a quarter of the memory limit, and at least one."`
	LoginQueue       int           `name:"login-queue" default:"32" group:"Limits" help:"Sign-ins that may wait for their turn at that; those behind them are told to come back (503 busy)."`

	LoginPerAccountAddress int `name:"login-per-account-address" default:"10" group:"Limits" help:"Wrong sign-ins a minute to one account from one client address (an IPv6 one with its /64). The account stays open to other addresses."`
	LoginPerAddress        int `name:"login-per-address" default:"20" group:"Limits" help:"Wrong sign-ins a minute from one client address, whatever the account. Below login-queue one address cannot fill the queue."`
	LoginPerAccount        int `name:"login-per-account" default:"300" group:"Limits" help:"Wrong sign-ins a minute to one account from all addresses together. Beyond it nobody signs in to it for a while, so keep it large."`

	RebalanceRate      float64 `name:"rebalance-rate" default:"10" group:"Rebalancing" help:"Sockets a second that a replica asks at most to go elsewhere (1012 rebalance) while it holds far more than the mean of all. 0 for none."`
	RebalanceThreshold int     `name:"rebalance-threshold" default:"20" group:"Rebalancing" help:"Per cent above the mean from which on it does so, until it is within a quarter of that. Where replicas are small, chance counts for more."`

	ShutdownWait time.Duration `name:"shutdown-wait" default:"5s" group:"Shutdown" help:"Time between turning unready and closing sockets, for the replica to leave the endpoints."`
	DrainTimeout time.Duration `name:"drain-timeout" default:"20s" group:"Shutdown" help:"Time over which clients are asked to leave, one after the other; its last 2.5 s are for closing the last of them."`
	FlushTimeout time.Duration `name:"flush-timeout" default:"5s" group:"Shutdown" help:"Time for the last commits and publishes after that."`
	GracePeriod  time.Duration `name:"grace-period" default:"0s" group:"Shutdown" help:"When the replica is killed after SIGTERM: terminationGracePeriodSeconds, where Kubernetes does. It does not start if the three times above are not shorter together. 0s: nobody knows."`

	LogFormat string `name:"log-format" default:"text" enum:"text,json" group:"Logging" help:"text or json, on standard output."`
	LogLevel  string `name:"log-level" default:"info" enum:"debug,info,warn,error" group:"Logging" help:"The least level that is logged: debug, info, warn or error."`
	LogMask   bool   `name:"log-mask" group:"Logging" help:"Mask personal data in logs: u***@example.com."`
}

// maxRebalanceRate bounds what is to be slow: each socket that is moved costs a look
// at all of them, and a handshake elsewhere.
const maxRebalanceRate = 1000

// leastMemory is less than a replica without sockets takes, in bytes.
const leastMemory = 16 << 20

// Validate names the first option that cannot work, and says why.
func (o *Options) Validate() error {
	for _, c := range []struct {
		ok   bool
		name string
		want string
	}{
		{o.DatabaseMaxConnections >= 5, "database-max-connections", "must be 5 or more"},
		{o.RedisMode != "sentinel" || o.RedisMasterName != "", "redis-master-name", "is needed in redis-mode sentinel"},
		{o.HardLimit >= o.SoftLimit, "hard-limit", "must not be below soft-limit"},
		{o.SoftLimit > 0, "soft-limit", "must be 1 or more"},
		{o.MemoryLimit == 0 || o.MemoryLimit >= leastMemory, "memory-limit", fmt.Sprintf("is in bytes: it must be 0, or %d or more", leastMemory)},
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
		{len(o.JWTSecrets) > 0 || o.JWTSecretFile != "", "jwt-secret", "or --jwt-secret-file is needed: no JWT secret is given"},
		{len(o.JWTSecrets) == 0 || o.JWTSecretFile == "", "jwt-secret", "and --jwt-secret-file are both given (or their variables): leave one of them out"},
		{o.JWKS != "" || o.JWKSIssuer == "" && o.JWKSAudience == "", "jwks-issuer", "and jwks-audience need jwks"},
		{o.AccessTokenTTL >= time.Second, "access-token-ttl", "must be 1s or more"},
		{o.RebalanceRate >= 0 && o.RebalanceRate <= maxRebalanceRate, "rebalance-rate", fmt.Sprintf("must be between 0 and %d", maxRebalanceRate)},
		{o.RebalanceRate == 0 || o.RebalanceThreshold >= 5, "rebalance-threshold", "must be 5 or more: a balancer in front does no better"},
		{!o.ProxyProtocol || len(o.TrustedProxies) > 0, "proxy-protocol", "needs trusted-proxies"},
		{o.DrainTimeout >= 0 && o.ShutdownWait >= 0 && o.FlushTimeout > 0, "drain-timeout", "shutdown-wait and flush-timeout must not be negative"},
		{o.GracePeriod == 0 || o.GracePeriod > o.shutdown(), "grace-period", fmt.Sprintf("is %v, but must be above %v: shutdown-wait %v + drain-timeout %v + flush-timeout %v", o.GracePeriod, o.shutdown(), o.ShutdownWait, o.DrainTimeout, o.FlushTimeout)},
	} {
		if !c.ok {
			return fmt.Errorf("--%s %s", c.name, c.want)
		}
	}
	return nil
}

// shutdown is how long the replica may take from SIGTERM to its end.
func (o *Options) shutdown() time.Duration { return o.ShutdownWait + o.DrainTimeout + o.FlushTimeout }

// Name returns the name of this replica: the one given, or the host's.
func (o *Options) Name() string {
	host, _ := os.Hostname() // without one a replica still works
	return cmp.Or(o.Replica, host, "roomspa")
}
