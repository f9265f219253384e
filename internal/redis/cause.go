package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/certs"
	"github.com/roomspa/roomspa/internal/openfiles"
)

// Cause words that are used in this package. Package cause describes each and its cure, and knows
// the causes of what Redis answers.
const (
	causeRefused     = "redis_refused"
	causeNoHost      = "redis_unreachable"
	causeDNS         = "redis_name_not_found"
	causeTLS         = "redis_tls"
	causeTLSWanted   = "redis_tls_wanted"
	causeNoTLS       = "redis_no_tls"
	causeUnknownCA   = "redis_unknown_ca"
	causeClientCert  = "redis_client_certificate"
	causeNotRedis    = "redis_not_redis"
	causeSubscribe   = "redis_subscribe_forbidden"
	causePermission  = "redis_permission_denied"
	causeNoDatabase  = "redis_no_such_database"
	causeStalled     = "redis_stalled"
	causeCluster     = "redis_is_cluster"
	causeSentinel    = "redis_is_sentinel"
	causeClusterDown = "redis_cluster_down"
	causeLost        = "redis_connection_lost"
	causeOther       = "redis_other"
	causeNotSharded  = "redis_not_sharded"
	causeNoIdentity  = "deployment_unread"
	causeFiles       = "too_many_open_files"
	causeEvicting    = "redis_evicting"
)

// classify returns the cause word of an error, or "" if Redis is not at fault.
func classify(err error) string {
	if err == nil || errors.Is(err, errStarting) || errors.Is(err, errStopped) || errors.Is(err, errQueueFull) || errors.Is(err, context.Canceled) {
		return ""
	}
	if e, ok := errors.AsType[*explained](err); ok && e.cause != "" {
		return e.cause
	}
	switch {
	case errors.Is(err, errNoDeployment):
		return causeNoIdentity
	case errors.Is(err, errIsCluster):
		return causeCluster
	case errors.Is(err, errIsSentinel):
		return causeSentinel
	case openfiles.Explain(err) != "":
		return causeFiles
	case isDNS(err):
		return causeDNS
	case !isAnswer(err) && certs.Explain(err) != "":
		return classifyTLS(err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return causeRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return causeNoHost
	}
	if reply, ok := errors.AsType[goredis.Error](err); ok {
		if word := cause.Redis(reply.Error()); word != "" {
			return word
		}
	}
	if word := cause.Redis(err.Error()); word != "" {
		return word
	}
	switch {
	case errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, goredis.ErrPoolTimeout):
		return causeStalled
	case errors.Is(err, errEOF), errors.Is(err, ErrConnectionLost), errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return causeLost
	}
	return causeOther
}

func isDNS(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

// classifyTLS returns the cause word of a TLS handshake that failed.
func classifyTLS(err error) string {
	switch certs.KindOf(err) {
	case certs.UnknownAuthority:
		return causeUnknownCA
	case certs.NoTLS:
		return causeNoTLS
	case certs.WantsClientCertificate:
		return causeClientCert
	case certs.Other:
	}
	return causeTLS
}
