package diagnose

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// resolveName resolves the host's name.
func (w *walk) resolveName(ctx context.Context) result {
	host := w.facts.Host
	if ip := net.ParseIP(host); ip != nil {
		w.facts.Addresses = []Address{{IP: host}}
		return passed("%s is an IP address", host)
	}
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	began := time.Now()
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
		w.facts.NameError = detail
		return failed("%s", detail)
	}
	for _, ip := range addresses {
		w.facts.Addresses = append(w.facts.Addresses, Address{IP: ip})
	}
	r := passed("%s resolves to %s", host, strings.Join(addresses, ", "))
	r.median, r.limit = time.Since(began), time.Second
	return r
}

// connectTCP connects to all addresses of the name, side by side.
func (w *walk) connectTCP(ctx context.Context) result {
	var wg sync.WaitGroup
	for i := range w.facts.Addresses {
		wg.Go(func() {
			a := &w.facts.Addresses[i]
			began := time.Now()
			conn, err := w.dialTo(ctx, net.JoinHostPort(a.IP, w.facts.Port))
			a.MS = float64(time.Since(began).Microseconds()) / 1000
			if err != nil {
				a.Error = strings.TrimPrefix(errorWord(err), "dial_")
				return
			}
			_ = conn.Close()
		})
	}
	wg.Wait()
	var lines []string
	alive := w.alive()
	for _, a := range w.facts.Addresses {
		text := "connected to " + net.JoinHostPort(a.IP, w.facts.Port)
		switch a.Error {
		case "":
		case "refused":
			text = net.JoinHostPort(a.IP, w.facts.Port) + " refused the connection"
		case "unreachable":
			text = "there is no route to " + net.JoinHostPort(a.IP, w.facts.Port)
		default:
			text = net.JoinHostPort(a.IP, w.facts.Port) + " did not answer within " + durationText(w.Timeout)
		}
		lines = append(lines, text)
	}
	if len(alive) == 0 {
		w.tryOtherPorts(ctx)
		return failed("%s%s", strings.Join(lines, "; "), w.facts.proxyHint())
	}
	r := passed("%s", strings.Join(lines, "; "))
	r.ok = !slices.ContainsFunc(w.facts.Addresses, func(a Address) bool { return a.Error != "" && a.Error != "unreachable" })
	r.median, r.limit = time.Duration(alive[0].MS*float64(time.Millisecond)), 500*time.Millisecond
	if !r.ok {
		r.ok = true // the walk goes on; the verdict names the dead address
	}
	return r
}

// tryOtherPorts looks for a usual port of the host that accepts connections.
func (w *walk) tryOtherPorts(ctx context.Context) {
	for _, port := range []string{"443", "80", "8000"} {
		if port == w.facts.Port {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		conn, err := w.dialTo(ctx, net.JoinHostPort(w.facts.Addresses[0].IP, port))
		cancel()
		if err == nil {
			_ = conn.Close()
			w.facts.OtherPorts = append(w.facts.OtherPorts, port)
		}
	}
}

// alive returns the addresses that accept connections.
func (w *walk) alive() []Address {
	var all []Address
	for _, a := range w.facts.Addresses {
		if a.Error == "" {
			all = append(all, a)
		}
	}
	return all
}

// address returns the address for the ith attempt: the addresses take turns.
func (w *walk) address(i int) string {
	alive := w.alive()
	if len(alive) == 0 {
		return net.JoinHostPort(w.facts.Host, w.facts.Port)
	}
	return net.JoinHostPort(alive[i%len(alive)].IP, w.facts.Port)
}

func (w *walk) dialTo(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	return new(net.Dialer).DialContext(ctx, "tcp", address) //nolint:wrapcheck // classified by errorWord
}

// errorWord returns the word of an [Attempt] for an error.
func errorWord(err error) string {
	op, network := errors.AsType[*net.OpError](err)
	text := err.Error()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "unreachable"
	case network && op.Op == "dial":
		return "dial_timeout"
	case strings.Contains(text, "malformed HTTP"), strings.Contains(text, "malformed MIME"):
		return "not_http"
	case strings.Contains(text, "invalid compression negotiation"):
		return "extension"
	case isTimeout(err):
		return "timeout"
	case strings.Contains(text, "tls:"), strings.Contains(text, "x509:"):
		return "tls"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	}
	return "closed"
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}
