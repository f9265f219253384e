package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
)

// Version returns the version of the server that answers, or "" where it does not
// say: an ACL may have taken the command away.
func (c *Client) Version(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	info, err := c.redis.Info(ctx, "server").Result()
	if err != nil {
		return ""
	}
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, "redis_version:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Advice returns what an operator can do about an error of this package, or ""
// where it is not Redis that needs something.
func Advice(err error) string {
	_, dns := errors.AsType[*net.DNSError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	says := func(prefix string) bool { return goredis.HasErrorPrefix(unwrapped(err), prefix) }
	switch {
	case err == nil:
		return ""
	case dns:
		return "Correct the host's name in the Redis URL, or look at the resolver."
	case record || cert || authority || host:
		return "Compare the Redis URL with what the server offers: rediss:// for TLS, by the name in its certificate."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Start Redis, or correct host and port in the Redis URL."
	case says("NOAUTH"), says("WRONGPASS"), says("ERR AUTH"):
		return "Correct user and password in the Redis URL."
	case says("NOPERM"):
		return "Let the user's ACL use the keys and channels of --redis-prefix, and SUBSCRIBE and PUBLISH."
	case says("LOADING"), says("MASTERDOWN"), says("CLUSTERDOWN"):
		return "Wait until Redis has loaded its data and has a master; its log says how far it is."
	case says("READONLY"):
		return "Point the Redis URL at the master, or use --redis-mode sentinel or cluster."
	case says("MOVED"):
		return "This Redis is a cluster: use --redis-mode cluster."
	case errors.Is(err, errTimeout), errors.Is(err, errSilent), errors.Is(err, errUnconfirmed):
		return "Look whether Redis is overloaded or paused, and whether something on the way swallows packets."
	case errors.Is(err, errEOF), errors.Is(err, errRedial):
		return "Look at the log of Redis for why it ended the connection: its client limit, an ACL, TLS that is expected."
	}
	return "Look at the log of Redis."
}

// unwrapped returns what Redis itself has answered, if err is made of that.
func unwrapped(err error) error {
	if reply, ok := errors.AsType[goredis.Error](err); ok {
		return reply
	}
	return err
}
