package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/certs"
)

// Cause words of failures of Redis. Package cause describes each and its cure.
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
	causeNoCluster  = "redis_is_not_cluster"
	causeSentinel   = "redis_is_sentinel"
	causeLost       = "redis_connection_lost"
	causeOther      = "redis_other"
	causeNoIdentity = "deployment_unread"
)

// classify returns the cause word of an error, or "" if Redis is not at fault.
func classify(err error) string {
	var dns *net.DNSError
	switch {
	case err == nil, errors.Is(err, errStarting), errors.Is(err, errStopped), errors.Is(err, errQueueFull), errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, errNoDeployment):
		return causeNoIdentity
	case errors.Is(err, errIsCluster):
		return causeCluster
	case errors.Is(err, errIsSentinel):
		return causeSentinel
	case errors.As(err, &dns):
		return causeDNS
	case !isAnswer(err) && certs.Explain(err) != "":
		return causeTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return causeRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return causeNoHost
	}
	if word := classifyReply(err); word != "" {
		return word
	}
	switch {
	case errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, goredis.ErrPoolTimeout):
		return causeStalled
	case errors.Is(err, errEOF), errors.Is(err, ErrConnectionLost), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return causeLost
	}
	return causeOther
}

// classifyReply returns the cause word of an error reply of Redis, by the first word
// of the reply, or "" for other errors.
func classifyReply(err error) string {
	if reply, ok := errors.AsType[goredis.Error](err); ok {
		err = reply
	}
	says := func(prefix string) bool { return goredis.HasErrorPrefix(err, prefix) }
	switch {
	case says("NOAUTH"), says("WRONGPASS"), says("AUTH "):
		return causePassword
	case says("NOPERM"), strings.Contains(err.Error(), "can't run this command or subcommand"), strings.Contains(err.Error(), "acl failure in script"):
		text := strings.ToLower(err.Error())
		if strings.Contains(text, "channel") || strings.Contains(text, "subscribe") || strings.Contains(text, "publish") {
			return causeSubscribe
		}
		return causePermission
	case errors.Is(err, errMaxClients), says("max number of clients"):
		return causeMaxClients
	case says("READONLY"):
		return causeReadOnly
	case says("OOM"):
		return causeMemory
	case says("LOADING"), says("MASTERDOWN"), says("CLUSTERDOWN"):
		return causeLoading
	case says("MOVED"):
		return causeCluster
	case says("This instance has cluster support disabled"):
		return causeNoCluster
	}
	return ""
}
