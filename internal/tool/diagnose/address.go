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

// resolveName resolves the host's name.
func (d *diagnosis) resolveName(ctx context.Context) (string, error) {
	host := d.target.Hostname()
	if ip := net.ParseIP(host); ip != nil {
		return host + " is an IP address", nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		detail := host + " cannot be resolved"
		if e, ok := errors.AsType[*net.DNSError](err); ok {
			switch {
			case e.IsNotFound:
				detail = host + " does not exist"
			case e.IsTimeout:
				detail = "the resolver did not answer for " + host
			default:
				detail += ": " + e.Err
			}
		}
		return "", &problem{cause: "name_not_found", detail: detail + d.proxyHint()}
	}
	return host + " resolves to " + strings.Join(addresses, ", "), nil
}

// hostPort returns the address to connect to.
func (d *diagnosis) hostPort() string {
	port := d.target.Port()
	if port == "" {
		port = "80"
		if d.target.Scheme == "wss" {
			port = "443"
		}
	}
	return net.JoinHostPort(d.target.Hostname(), port)
}

func (d *diagnosis) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	return new(net.Dialer).DialContext(ctx, "tcp", d.hostPort())
}

// connectTCP makes a TCP connection.
func (d *diagnosis) connectTCP(ctx context.Context) (string, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return "", d.dialProblem(err)
	}
	defer func() { _ = conn.Close() }()
	return "connected to " + conn.RemoteAddr().String(), nil
}

// dialProblem explains a failed TCP connection.
func (d *diagnosis) dialProblem(err error) *problem {
	p := &problem{cause: "connection_timeout", detail: fmt.Sprintf("%s did not answer within %v", d.hostPort(), d.Timeout)}
	_, dns := errors.AsType[*net.DNSError](err)
	switch {
	case dns:
		p.cause, p.detail = "name_not_found", d.target.Hostname()+" cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		p.cause, p.detail = "connection_refused", d.hostPort()+" refused the connection"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		p.cause, p.detail = "connection_unreachable", "there is no route to "+d.hostPort()
	}
	p.detail += d.proxyHint()
	return p
}

// proxyHint mentions the proxy of the environment, which a diagnosis does not use.
func (d *diagnosis) proxyHint() string {
	request := &http.Request{URL: d.target.JoinPath()}
	request.URL.Scheme = "http" + strings.TrimPrefix(request.URL.Scheme, "ws")
	if proxy, err := http.ProxyFromEnvironment(request); err == nil && proxy != nil {
		return " (connecting directly; diagnose does not use the environment's proxy " + proxy.Redacted() + ")"
	}
	return ""
}
