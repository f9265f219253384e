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

// The words for why Redis failed, as [room.Cause] returns them; package story has what
// to do about each.
const (
	causeRefused    = "redis_refused"
	causeNoHost     = "redis_unreachable"
	causeDNS        = "redis_name_not_found"
	causeTLS        = "redis_tls"
	causePassword   = "redis_wrong_password"
	causeSubscribe  = "redis_subscribe_forbidden"
	causePermission = "redis_permission_denied"
	causeStalled    = "redis_stalled"
	causeMaxClients = "redis_max_clients"
	causeReadOnly   = "redis_read_only"
	causeMemory     = "redis_out_of_memory"
	causeLoading    = "redis_loading"
	causeCluster    = "redis_is_cluster"
	causeLost       = "redis_connection_lost"
	causeOther      = "redis_other"
)

// A failure is what was attempted, and why it could not be done.
type failure struct {
	text string
	is   []error
	why  error // what Redis, the network or the layer itself said
}

func (f *failure) Error() string   { return f.text }
func (f *failure) Unwrap() []error { return f.is }

// Cause returns the stable word for it.
func (f *failure) Cause() string { return classify(f.why) }

// cause classifies an error; "" for what is not Redis' fault.
func classify(err error) string {
	var dns *net.DNSError
	switch {
	case err == nil, errors.Is(err, errStarting), errors.Is(err, errStopped), errors.Is(err, errFull), errors.Is(err, context.Canceled):
		return ""
	case errors.As(err, &dns):
		return causeDNS
	case isTLS(err):
		return causeTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return causeRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return causeNoHost
	}
	if word := replied(unwrapped(err)); word != "" {
		return word
	}
	switch {
	case errors.Is(err, errTimeout), errors.Is(err, errSilent), errors.Is(err, errDeaf), errors.Is(err, errUnconfirmed),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, goredis.ErrPoolTimeout):
		return causeStalled
	case errors.Is(err, errEOF), errors.Is(err, errRedial), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return causeLost
	}
	return causeOther
}

func isTLS(err error) bool {
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	return record || cert || authority || host
}

// replied goes by the first word of what Redis has answered.
func replied(err error) string {
	says := func(prefix string) bool { return goredis.HasErrorPrefix(err, prefix) }
	switch {
	case says("NOAUTH"), says("WRONGPASS"), says("ERR AUTH"):
		return causePassword
	case says("NOPERM"):
		text := strings.ToLower(err.Error())
		if strings.Contains(text, "channel") || strings.Contains(text, "subscribe") || strings.Contains(text, "publish") {
			return causeSubscribe
		}
		return causePermission
	case errors.Is(err, errMaxClients), says("ERR max number of clients"):
		return causeMaxClients
	case says("READONLY"):
		return causeReadOnly
	case says("OOM"):
		return causeMemory
	case says("LOADING"), says("MASTERDOWN"), says("CLUSTERDOWN"):
		return causeLoading
	case says("MOVED"):
		return causeCluster
	}
	return ""
}

// unwrapped returns what Redis itself has answered, if err is made of that.
func unwrapped(err error) error {
	if reply, ok := errors.AsType[goredis.Error](err); ok {
		return reply
	}
	return err
}
