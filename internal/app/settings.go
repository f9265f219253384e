package app

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/redis"
)

// Settings returns the options that must be equal on all replicas, by name, without secrets. The
// replicas compare them. Options of the machine, such as limits of sockets and memory, may differ,
// and secrets are compared by their fingerprints.
func (o *Options) Settings(redis *redis.Client) map[string]string {
	from := "both"
	if o.therapistsOnly() {
		from = "therapist"
	}
	return map[string]string{
		fleet.RedisAddress:   redis.Address(),
		"redis-url":          fmt.Sprintf("number %d", redis.Database()),
		"redis-mode":         o.RedisMode,
		"redis-prefix":       o.RedisPrefix,
		"access-token-ttl":   o.AccessTokenTTL.String(),
		"refresh-token-ttl":  o.RefreshTokenTTL.String(),
		"jwks":               digest(o.JWKS),
		"jwks-issuer":        o.JWKSIssuer,
		"jwks-audience":      o.JWKSAudience,
		"origins":            list(o.Origins),
		"trusted-proxies":    list(prefixes(o.TrustedProxies)),
		"proxy-protocol":     fmt.Sprint(o.ProxyProtocol),
		"max-message-bytes":  fmt.Sprint(o.MaxMessageBytes),
		"max-message-length": fmt.Sprint(o.MaxMessageLength),
		"message-rate":       fmt.Sprint(o.MessageRate),
		"message-burst":      fmt.Sprint(o.MessageBurst),
		"ping-interval":      o.PingInterval.String(),
		"position-ttl":       o.PositionTTL.String(),
		"classic-clients":    fmt.Sprint(o.ClassicClients),
		"classic-max-age":    o.ClassicMaxAge.String(),
		"location-from":      from,
		"support-may-send":   fmt.Sprint(o.SupportMaySend),
		"presence":           o.Presence,
		"login-per-address":  fmt.Sprint(o.LoginPerAddress), "login-per-account": fmt.Sprint(o.LoginPerAccount),
		"login-per-account-address": fmt.Sprint(o.LoginPerAccountAddress),
	}
}

// digest returns what tells a text with secrets from another one.
func digest(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return "digest " + hex.EncodeToString(sum[:6])
}

// list returns a list in an order of its own.
func list(all []string) string { return strings.Join(slices.Sorted(slices.Values(all)), ",") }

func prefixes(all []netip.Prefix) (texts []string) {
	for _, p := range all {
		texts = append(texts, p.String())
	}
	return texts
}
