package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// lookUp resolves the host's name.
func (w *walk) lookUp(ctx context.Context) (string, error) {
	host := w.target.Hostname()
	if ip := net.ParseIP(host); ip != nil {
		return host + " is an address", nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		detail := host + " cannot be resolved"
		if d, ok := errors.AsType[*net.DNSError](err); ok {
			switch {
			case d.IsNotFound:
				detail = "there is no " + host
			case d.IsTimeout:
				detail = "the resolver does not answer the question for " + host
			default:
				detail += ": " + d.Err
			}
		}
		return "", &trouble{cause: "name_not_found", detail: detail + w.proxyHint()}
	}
	return host + " is " + strings.Join(addresses, ", "), nil
}

// hostPort is where to connect to.
func (w *walk) hostPort() string {
	port := w.target.Port()
	if port == "" {
		port = "80"
		if w.target.Scheme == "wss" {
			port = "443"
		}
	}
	return net.JoinHostPort(w.target.Hostname(), port)
}

func (w *walk) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	return new(net.Dialer).DialContext(ctx, "tcp", w.hostPort())
}

// connect makes a TCP connection.
func (w *walk) connect(ctx context.Context) (string, error) {
	conn, err := w.dial(ctx)
	if err != nil {
		return "", w.unconnected(err)
	}
	defer func() { _ = conn.Close() }()
	return "connected to " + conn.RemoteAddr().String(), nil
}

// unconnected says why there is no connection.
func (w *walk) unconnected(err error) *trouble {
	t := &trouble{cause: "connection_timeout", detail: fmt.Sprintf("%s does not answer within %v", w.hostPort(), w.Timeout)}
	_, dns := errors.AsType[*net.DNSError](err)
	switch {
	case dns:
		t.cause, t.detail = "name_not_found", w.target.Hostname()+" cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		t.cause, t.detail = "connection_refused", w.hostPort()+" refuses the connection"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		t.cause, t.detail = "connection_unreachable", "there is no way to "+w.hostPort()
	}
	t.detail += w.proxyHint()
	return t
}

// proxyHint reminds of what this walk does not use.
func (w *walk) proxyHint() string {
	request := &http.Request{URL: w.target.JoinPath()}
	request.URL.Scheme = "http" + strings.TrimPrefix(request.URL.Scheme, "ws")
	if proxy, err := http.ProxyFromEnvironment(request); err == nil && proxy != nil {
		return " (directly; the environment names the proxy " + proxy.Redacted() + ", which is not tried)"
	}
	return ""
}
