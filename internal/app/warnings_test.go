package app_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestOptionsThatMayBeWrongAreNamed: they are valid, so the replica starts.
func TestOptionsThatMayBeWrongAreNamed(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	const secret = "0123456789abcdef0123456789abcdef"
	r := w.Ready(t, "a", func(o *app.Options) {
		o.OpsToken = "'a token of the operators'"
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("52.0.0.0/10"), netip.MustParsePrefix("192.168.0.0/16")}
		o.JWTSecrets = append(o.JWTSecrets, `"`+secret+`"`)
	})
	log := r.Log.String()
	for _, want := range []string{
		"Option may be wrong: --ops-token has quotes (U+0027) around it",
		"--trusted-proxies has 10.1.2.3/8, which means 10.0.0.0/8: write that, or 10.1.2.3/32",
		"--trusted-proxies has the public range 52.0.0.0/10",
		"JWT secret 2 has quotes (U+0022) around it",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(log, secret) || strings.Contains(log, "a token of the operators") || strings.Contains(log, "192.168.0.0") {
		t.Error("the log has a secret, or warns of a good range")
	}
}
