package world

import (
	"net/netip"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/roomspa/roomspa/internal/app"
)

// Options returns the options that `roomspa serve` would have in this world. Postgres has much time, since the machine
// may be busy; see DefaultTimeouts.
func (w *World) Options(t testing.TB, edit ...func(*app.Options)) app.Options {
	t.Helper()
	var o app.Options
	parser, err := kong.New(&o, kong.Exit(func(int) { t.Fatal("kong wants to exit") }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{
		"--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--database-url=" + w.DatabaseURL, "--redis-url=" + w.RedisURL,
		"--redis-prefix=" + w.RedisPrefix, "--address-share=1", "--jwt-secret=" + w.Secret, "--shutdown-wait=0s", "--drain-timeout=3s",
		"--database-acquire-timeout=30s", "--database-lock-timeout=30s", "--database-statement-timeout=30s",
		"--database-max-connections=7", "--write-timeout=1m", "--pong-timeout=1m", "--flush-timeout=20s", "--user-sockets=0", // a test has few users and many sockets
	}); err != nil {
		t.Fatal(err)
	}
	for _, e := range edit {
		e(&o)
	}
	return o
}

// DefaultTimeouts gives Postgres as much time as it has by default, for tests of what happens after it.
func DefaultTimeouts(o *app.Options) {
	o.DatabaseAcquireTimeout, o.DatabaseLockTimeout, o.DatabaseStatementTimeout = 2*time.Second, time.Second, 5*time.Second
	o.FlushTimeout = 5 * time.Second
}

// NoRateLimit lets sockets send as fast as they can.
func NoRateLimit(o *app.Options) { o.MessageRate, o.MessageBurst = 100_000, 100_000 }

// TrustLoopback makes a replica believe what a test's client says of its address.
func TrustLoopback(o *app.Options) {
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}
