// Package listen opens a replica's listeners, serves HTTP on them, and tells the
// address of a request's client behind trusted proxies.
package listen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"
)

// Options describe one listener.
type Options struct {
	Name    string // public or ops, as in errors
	Address string // host:port; port 0 takes a free port
	Handler http.Handler
	// ProxyProtocol reads a PROXY protocol header (v1 or v2) at the start of each
	// connection from a trusted proxy. From others it is ignored.
	ProxyProtocol  bool
	TrustedProxies []netip.Prefix
	// Limits bounds the connections. nil means places of its own, as for the ops listener.
	Limits *Limits
	// Relieve closes a connection of other limits when the process has no open files left. nil
	// means Limits.
	Relieve *Limits
	// Reserve holds descriptors back, so that the listener accepts connections when the process
	// has used up all others.
	Reserve      bool
	WriteTimeout time.Duration // of a request's handler and answer
}

// Every state of a connection has a deadline. A socket sets its own ones.
const (
	headTimeout = 10 * time.Second // of a request's head
	bodyTimeout = 20 * time.Second // of the head and the body
	idleTimeout = 2 * time.Minute  // between two requests; less when it gets tight
)

// maxHead is the number of bytes of a request's head. net/http accepts headSlop bytes more.
const (
	maxHead  = 16 << 10
	headSlop = 4 << 10
)

// sendBuffer and receiveBuffer bound the bytes that the kernel buffers for a connection whose
// client does not read, or whose bytes the server does not read. The kernel doubles them. With
// a smaller send buffer a large answer over the loopback interface, whose segments have 64 KiB,
// waits for delayed acknowledgements.
const (
	sendBuffer    = 64 << 10
	receiveBuffer = 32 << 10
)

// A Server is one listener and the HTTP server behind it. Call [Server.Open], then
// [Server.Serve], then [Server.Shutdown].
type Server struct {
	o       Options
	http    *http.Server
	reserve *reserve
	ln      net.Listener
}

// New returns a server that does not listen yet. The messages of net/http are
// logged at debug level.
func New(o Options, log *slog.Logger) *Server {
	if o.Limits == nil {
		o.Limits = newOpsLimits(log)
	}
	o.Relieve = cmp.Or(o.Relieve, o.Limits)
	return &Server{o: o, http: &http.Server{
		Handler:           reportUnreadable(o.TrustedProxies, log, o.Limits.slowDownRefusals(o.TrustedProxies, o.Handler)),
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      o.WriteTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead - headSlop,
		ConnState:         connState,
		ErrorLog:          slog.NewLogLogger(log.With("component", "HTTP").Handler(), slog.LevelDebug),
	}}
}

// Name returns the name from the options.
func (s *Server) Name() string { return s.o.Name }

// Open binds the address. Clients can connect from now on, and wait for Serve.
func (s *Server) Open(ctx context.Context) error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = boundBuffers(fd) })
		return errors.Join(err, failed)
	}}
	opened, err := config.Listen(ctx, "tcp", s.o.Address)
	if err != nil {
		if strings.Contains(err.Error(), "address already in use") {
			err = fmt.Errorf("%w; stop the program that uses the port, or choose another port with --listen or --ops-listen", err)
		}
		return fmt.Errorf("open the %s listener: %w", s.o.Name, err)
	}
	tcp, ok := opened.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("open the %s listener: %T is not TCP", s.o.Name, opened)
	}
	own := &listener{TCPListener: tcp, limits: s.o.Limits, relieve: s.o.Relieve, trusted: s.o.TrustedProxies, linger: make(chan struct{}, lingering)}
	if s.o.Reserve {
		s.reserve = newReserve()
		own.reserve, s.o.Relieve.reserve = s.reserve, s.reserve
	}
	var ln net.Listener = own
	if s.o.ProxyProtocol {
		trusted := make([]string, len(s.o.TrustedProxies))
		for i, p := range s.o.TrustedProxies {
			trusted[i] = p.String()
		}
		policy, err := proxyproto.PolicyFromRanges(trusted, proxyproto.USE, proxyproto.IGNORE)
		if err != nil {
			return errors.Join(fmt.Errorf("--trusted-proxies: %w", err), ln.Close())
		}
		ln = &proxyproto.Listener{Listener: ln, ConnPolicy: policy, ReadHeaderTimeout: 5 * time.Second}
	}
	s.ln = ln
	return nil
}

// Addr returns the address that Open has bound.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Serve accepts connections until Shutdown, and then returns nil. An error means
// that the listener has failed: nobody can connect any more.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the %s listener failed: %w", s.o.Name, err)
	}
	return nil
}

// Shutdown closes the listener and waits until every request has been answered, or
// until ctx ends. It does not wait for WebSocket connections.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	s.reserve.close()
	_ = s.ln.Close() // it is open still if Serve was never called
	return err
}
