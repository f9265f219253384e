package session

import (
	"sync/atomic"
	"time"
)

// Sockets of anonymous endpoints have a share of the soft limit, one part of anonymousShare,
// and a maximum age.
const (
	anonymousShare = 10
	anonymousAge   = 10 * time.Minute
)

// A Slot reserves a place in the registry for a handshake. It is taken before the upgrade,
// because a drain could miss a socket that is counted later.
type Slot struct {
	registry *Registry
	endpoint *endpoint
	released atomic.Bool
	// Exceeded is the soft limit that is exceeded, or "". The socket must then be closed with
	// 1013 busy.
	Exceeded Limit
	// AppCodes makes the socket's Close frames say 4012 and 4013 in place of 1012 and 1013. Set it
	// before [Slot.Upgrade].
	AppCodes bool
	// Client is a short name of the client's software, for operators. Set it before
	// [Slot.Upgrade]. Sockets with the same name share its memory.
	Client string
}

// A Limit is a limit because of which a replica accepts no more sockets, as text for clients.
type Limit string

// The values of [Limit].
const (
	ConnectionLimit Limit = "this replica is full"
	AnonymousLimit  Limit = "this replica's places for sockets without a token are taken"
	MemoryLimit     Limit = "this replica's memory is nearly used up"
)

// SoftMemory and hardMemory are the shares of the memory limit above which new sockets are
// closed with 1013 busy, or refused with HTTP 503. The rest is for open sockets and for the
// growth between two measurements. At 1 the kernel kills the replica.
const (
	SoftMemory = 0.90
	hardMemory = 0.95
)

// Reserve reserves a slot for a socket. It returns nil and the exceeded limit above a hard
// limit, and nil and "" while draining.
func (r *Registry) Reserve(k Kind) (*Slot, Limit) {
	e, anonymous := r.metrics.endpoint(k), k.Anonymous
	e.connections.Inc()
	n, strangers := r.count.Add(1), r.anonymous.Load()
	if anonymous {
		strangers = r.anonymous.Add(1)
	}
	exceeded, hard := r.checkLimits(n, strangers, anonymous)
	if r.draining.Load() {
		exceeded, hard = "", true
	}
	if hard {
		r.release(e)
		return nil, exceeded
	}
	return &Slot{registry: r, endpoint: e, Exceeded: exceeded}, ""
}

// checkLimits returns the limit that is exceeded, if any, and whether it is a hard one, when n
// sockets are open, with anonymous ones among them. Who has proved nothing must not take the
// places of users: anonymous sockets count only within their quota, and those whose handshake
// failed do not count at all.
func (r *Registry) checkLimits(n, strangers int64, anonymous bool) (exceeded Limit, hard bool) {
	var memory float64
	if r.options.Memory != nil {
		memory = r.options.Memory()
	}
	quota := max(1, int64(r.options.SoftLimit/anonymousShare))
	n -= max(0, strangers-quota) + r.refused.Load()
	switch {
	case n > int64(r.options.HardLimit):
		return ConnectionLimit, true
	case anonymous && strangers > 2*quota:
		return AnonymousLimit, true
	case memory > hardMemory:
		return MemoryLimit, true
	case n > int64(r.options.SoftLimit):
		return ConnectionLimit, false
	case anonymous && strangers > quota:
		return AnonymousLimit, false
	case memory > SoftMemory:
		return MemoryLimit, false
	}
	return "", false
}

// Release frees a slot that was not upgraded. It may be called more than once.
func (slot *Slot) Release() {
	if slot.released.CompareAndSwap(false, true) {
		slot.registry.release(slot.endpoint)
	}
}

// release gives back the place of a socket.
func (r *Registry) release(e *endpoint) {
	r.count.Add(-1)
	if e.anonymous {
		r.anonymous.Add(-1)
	}
	e.connections.Dec()
}
