package listen

import (
	"container/list"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/openfiles"
)

// Descriptors that a process needs besides the connections of its public listener.
const (
	opsPlaces   = 64 // connections of the ops listener
	lingering   = 32 // refused connections whose answer is still being read
	otherFiles  = 32 // log, files, listeners, epoll, pipes of password processes, connections to Redis
	basicNeeds  = opsPlaces + lingering + otherFiles
	plainMemory = 64 << 10 // bytes that a connection that is no socket can take, measured with garbage
)

// The bounds of the number of connections that are no sockets.
const (
	minPlain = 256
	maxPlain = 4096
)

// kind is what is counted. A connection is counted as one of all, and as a plain one until
// it becomes a socket. Sockets are counted by the address of their client, which may differ
// from that of the connection.
type kind int

const (
	all kind = iota
	plain
	sockets
	kinds
)

// state is what a plain connection does.
type state int32

const (
	idle    state = iota // between two requests, or about to end
	waiting              // for the whole head of the first request
	serving              // a request is at work
	states
	gone // it is a socket, or closed
)

// grace is the time for which a connection stays in a state before a new one may replace it.
// All states have longer timeouts, which apply while there is room.
var grace = [states]time.Duration{idle: 0, waiting: time.Second, serving: 5 * time.Second}

// LimitOptions are the limits of a listener.
type LimitOptions struct {
	Sockets int            // hard limit of sockets
	Wanted  int            // sockets below which the open-file limit is a finding
	Files   int            // open files that the stores need
	Memory  int64          // limit of the process in bytes; 0 means unknown
	Trusted []netip.Prefix // proxies: a client with such an address is unknown, and counts for no address
	Share   float64        // of the places that an address may hold once half are taken, an IPv6 /48 twice as much; 1 or more means no limit
}

// Limits bounds the connections of a replica: in total below the open-file limit, those that
// are no sockets by memory, and those of one address by its share of the places. When there is
// no room, a new connection replaces the oldest idle one. A connection that is a socket is
// never closed for another one.
//
// It is safe for concurrent use, and takes constant time.
type Limits struct {
	share   float64
	trusted []netip.Prefix
	metrics *limitMetrics
	log     *refusalLog
	crowded atomic.Bool   // more than half of the places are taken
	freed   chan struct{} // receives a value when a plain connection leaves
	wanted  int           // see LimitOptions
	reserve *reserve      // of the ops listener; nil before it is open, which is before connections are accepted
	lacked  atomic.Int64  // Unix time in nanoseconds when the process had no descriptors left; 0 for never

	strangers strangers

	files int // number of connections for which there are open files

	mu    sync.Mutex
	limit [kinds]int
	used  [kinds]int
	peers map[netip.Prefix]*peer
	lists [states]list.List // of *conn, the oldest first
}

// A peer is an address, or an IPv6 /48, that holds connections.
type peer struct {
	network netip.Prefix
	share   float64 // of the places that it may hold once half are taken
	wider   *peer   // the /48 of an IPv6 /64, else nil
	held    [kinds]int
	idle    list.List // of *conn, the oldest first
}

// NewLimits returns the limits of the public listener.
func NewLimits(o LimitOptions, log *slog.Logger, reg prometheus.Registerer) *Limits {
	files := math.MaxInt
	if n := openfiles.Limit(); n > 0 {
		// With few files the stores and the ops listener have fewer, too, but they come first.
		files = max(n-basicNeeds-o.Files, n/4, 1)
	}
	l := newLimits([kinds]int{sockets: o.Sockets}, o.Share, log, reg)
	l.trusted, l.wanted, l.files = o.Trusted, o.Wanted, files
	l.SetMemory(o.Memory)
	return l
}

// SetMemory changes the memory limit of the process, in bytes, on which the number of plain
// connections depends. 0 means that none is known. Connections that are open stay open.
func (l *Limits) SetMemory(limit int64) {
	n := maxPlain
	if limit > 0 {
		n = min(max(int(limit/8/plainMemory), minPlain), maxPlain)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit[all] = min(l.limit[sockets]+n, l.files)
	l.limit[plain] = min(n, l.limit[all])
}

// newOpsLimits returns the limits of the ops listener, whose places are reserved.
func newOpsLimits(log *slog.Logger) *Limits {
	return newLimits([kinds]int{all: opsPlaces, plain: opsPlaces}, 1, log, nil)
}

func newLimits(limit [kinds]int, share float64, log *slog.Logger, reg prometheus.Registerer) *Limits {
	l := &Limits{share: share, limit: limit, peers: map[netip.Prefix]*peer{}, freed: make(chan struct{}, 1), strangers: strangers{full: map[netip.Prefix]time.Time{}}}
	l.metrics, l.log = newLimitMetrics(l, reg), &refusalLog{log: log}
	return l
}

// Places returns the number of connections that may be open at the same time.
func (l *Limits) Places() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit[all]
}

func (l *Limits) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used[all]
}

// network returns what counts as one address: an IPv4 address, or the /64 of an IPv6 address.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // fails for the zero Addr only, which is an address like others here
	return p
}

// peer returns the peer of an address. The caller holds the mutex.
func (l *Limits) peer(a netip.Addr) *peer {
	p := l.lookUp(network(a), l.share)
	if p.wider == nil && p.network.Bits() == 64 {
		wider, _ := p.network.Addr().Prefix(48) // never fails
		p.wider = l.lookUp(wider, 2*l.share)
	}
	return p
}

func (l *Limits) lookUp(n netip.Prefix, share float64) *peer {
	p := l.peers[n]
	if p == nil {
		p = &peer{network: n, share: share}
		l.peers[n] = p
	}
	return p
}

// add changes the number of connections of a kind. p is nil for a trusted proxy.
func (l *Limits) add(k kind, p *peer, n int) {
	l.used[k] += n
	if k == all {
		l.crowded.Store(l.used[all] > l.limit[all]/2)
	}
	for ; p != nil; p = p.wider {
		if p.held[k] += n; p.held == ([kinds]int{}) {
			delete(l.peers, p.network)
		}
	}
}

// exceeds returns the address, or its /48, whose share one more of a kind exceeds, or nil.
func (l *Limits) exceeds(k kind, p *peer) *peer {
	if l.used[k]+1 <= l.limit[k]/2 {
		return nil
	}
	for ; p != nil; p = p.wider {
		if p.share < 1 && float64(p.held[k]+1) > max(1, p.share*float64(l.limit[k])) {
			return p
		}
	}
	return nil
}

// OpenSocket counts a socket of a client, by the address that [ClientAddr] returns. It returns
// false, and counts nothing, if the client's address would hold more than its share of the
// sockets. Call [Limits.CloseSocket] with the same address when the socket has ended.
func (l *Limits) OpenSocket(remote string) bool {
	a, ok := l.client(remote)
	if !ok {
		return true
	}
	l.mu.Lock()
	p := l.peer(a)
	over, held := l.exceeds(sockets, p), 0
	if over == nil {
		l.add(sockets, p, 1)
	} else {
		held = over.held[sockets]
		l.add(sockets, p, 0) // forgets an address that holds nothing
	}
	l.mu.Unlock()
	if over != nil {
		l.refused(reasonAddress, over.network, held, l.limit[sockets])
	}
	return over == nil
}

// CloseSocket counts the end of a socket for which OpenSocket returned true.
func (l *Limits) CloseSocket(remote string) {
	if a, ok := l.client(remote); ok {
		l.mu.Lock()
		l.add(sockets, l.peer(a), -1)
		l.mu.Unlock()
	}
}

// client returns the address of a client. ok is false if it is unknown, or nothing is limited.
func (l *Limits) client(remote string) (a netip.Addr, ok bool) {
	if l == nil {
		return a, false
	}
	a, ok = parse(remote)
	return a, ok && !contains(l.trusted, a.Unmap())
}

func parse(remote string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr(), true
	}
	a, err := netip.ParseAddr(remote)
	return a, err == nil
}
