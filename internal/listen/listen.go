// Package listen opens a replica's listeners, serves HTTP on them, and tells the
// address of a request's client behind trusted proxies.
package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
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
}

// A Server is one listener and the HTTP server behind it. Call [Server.Open], then
// [Server.Serve], then [Server.Shutdown].
type Server struct {
	o    Options
	http *http.Server
	ln   net.Listener
}

// New returns a server that does not listen yet. The messages of net/http are
// logged at debug level.
func New(o Options, log *slog.Logger) *Server {
	return &Server{o: o, http: &http.Server{
		Handler:           o.Handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second, // of plain requests; a socket sets its own deadlines
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.With("component", "HTTP").Handler(), slog.LevelDebug),
	}}
}

// Name returns the name from the options.
func (s *Server) Name() string { return s.o.Name }

// Open binds the address. Clients can connect from now on, and wait for Serve.
func (s *Server) Open() error {
	ln, err := net.Listen("tcp", s.o.Address)
	if err != nil {
		if strings.Contains(err.Error(), "address already in use") {
			err = fmt.Errorf("%w; stop the program that uses the port, or choose another port with --listen or --ops-listen", err)
		}
		return fmt.Errorf("open the %s listener: %w", s.o.Name, err)
	}
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
	_ = s.ln.Close() // it is open still if Serve was never called
	return err
}
