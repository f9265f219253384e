package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// noProtocol is part of the error for the TLS alert of a server that speaks none of the
// offered protocols (RFC 7301 §3.2).
const noProtocol = "no application protocol"

// tlsConfig returns the configuration of every TLS connection. It offers only HTTP/1.1, as
// WebSocket clients do, and notices when the server asks for a certificate.
func (w *walk) tlsConfig() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if w.TLS != nil {
		c = w.TLS.Clone()
	}
	c.NextProtos = []string{"http/1.1"}
	c.Time = w.Now
	if c.ServerName == "" {
		c.ServerName = w.facts.Host
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		w.certificateWanted.Store(true)
		return &tls.Certificate{}, nil
	}
	return c
}

// connectTLS performs a TLS handshake.
func (w *walk) connectTLS(ctx context.Context) result {
	if !w.facts.TLS {
		return result{}
	}
	began := time.Now()
	state, err := w.handshakeTLS(ctx, w.tlsConfig())
	took := time.Since(began)
	if err != nil {
		w.facts.Certificate = w.explainTLS(ctx, err)
		w.askInsecurely(ctx)
		return failed("%s", w.facts.Certificate.Detail)
	}
	leaf := state.PeerCertificates[0]
	w.facts.Certificate = &Certificate{Version: tls.VersionName(state.Version), Names: certificateNames(leaf), Issuer: leaf.Issuer.String(), NotAfter: leaf.NotAfter}
	detail := fmt.Sprintf("%s, certificate of %s issued by %s, valid until %s",
		tls.VersionName(state.Version), certificateNames(leaf), leaf.Issuer.CommonName, leaf.NotAfter.UTC().Format(time.DateOnly))
	if left := leaf.NotAfter.Sub(w.Now()); left < 7*24*time.Hour {
		detail += fmt.Sprintf(" (%d hours from now)", int(left.Hours()))
	}
	r := passed("%s", detail)
	r.median, r.limit = took, time.Second
	return r
}

func (w *walk) handshakeTLS(ctx context.Context, config *tls.Config) (*tls.ConnectionState, error) {
	conn, err := w.dialTo(ctx, w.address(0))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if config.ServerName == "" {
		config.ServerName = w.facts.Host
	}
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	t := tls.Client(conn, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err //nolint:wrapcheck // classified by explainTLS
	}
	state := t.ConnectionState()
	return &state, nil
}

// askInsecurely asks who answers behind a certificate that is not trusted, and for its clock. It
// sends nothing secret.
func (w *walk) askInsecurely(ctx context.Context) {
	switch w.facts.Certificate.Cause {
	case "tls_expired", "tls_wrong_name", "tls_unknown_authority", "tls_incomplete_chain":
	default:
		return
	}
	config := w.tlsConfig()
	config.InsecureSkipVerify = true
	a, _ := w.requestWith(ctx, Attempt{Probe: "http", Path: "/ws/test/"}, http.MethodGet, nil, "", config)
	if a.Status != 0 {
		w.facts.Certificate.Detail += "; behind it answers " + a.who()
	}
	if skew := w.facts.SkewMS; skew != nil && time.Duration(*skew).Abs()*time.Millisecond > maxSkew {
		w.facts.Certificate.Detail += "; " + skewText(*skew)
	}
}

// explainTLS explains a failed TLS handshake.
func (w *walk) explainTLS(ctx context.Context, err error) *Certificate {
	var chain []*x509.Certificate
	if v, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		chain = v.UnverifiedCertificates
	}
	c := &Certificate{}
	if len(chain) > 0 {
		c.Names, c.Issuer, c.NotAfter = certificateNames(chain[0]), chain[len(chain)-1].Issuer.String(), chain[0].NotAfter
	}
	host, wrongName := errors.AsType[x509.HostnameError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case record:
		c.Cause, c.Detail = "tls_on_plain_port", w.address(0)+" answered, but not with TLS"
		w.findProtocol(ctx)
	case wrongName:
		c.Cause, c.Detail = "tls_wrong_name", fmt.Sprintf("the certificate is for %s, not for %s", certificateNames(host.Certificate), w.facts.Host)
	case isInvalid && invalid.Reason == x509.Expired:
		c.Cause, c.Detail = "tls_expired", fmt.Sprintf("the certificate of %s is valid from %s to %s, but this machine's clock says %s",
			certificateNames(invalid.Cert), invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339), w.Now().UTC().Format(time.RFC3339))
	case authority && len(chain) > 0 && w.completesChain(ctx, chain):
		c.Cause, c.Detail = "tls_incomplete_chain", "the server did not send the intermediate certificate of "+chain[len(chain)-1].Issuer.CommonName+", with which its own certificate would be trusted"
	case authority && c.Issuer != "":
		c.Cause, c.Detail = "tls_unknown_authority", "the certificate was issued by "+c.Issuer+", which this machine does not trust"
	case authority:
		c.Cause, c.Detail = "tls_unknown_authority", "the certificate was issued by an unknown authority"
	case w.certificateWanted.Load():
		c.Cause, c.Detail = "client_certificate_wanted", "the server asked for a client certificate, and ended the handshake without one: "+err.Error()
	case strings.Contains(err.Error(), noProtocol):
		c.Cause, c.Detail = "http_2_only", "the server does not accept HTTP/1.1, which WebSocket handshakes need"
	default:
		c.Cause, c.Detail = "tls_failed", err.Error()
		if isTimeout(err) {
			c.Detail = fmt.Sprintf("%s accepted the connection but did not complete the TLS handshake within %v", w.address(0), w.Timeout)
		}
		var both sync.WaitGroup
		both.Go(func() { w.compareHello(ctx, c) })
		both.Go(func() { w.findProtocol(ctx) })
		both.Wait()
	}
	return c
}

// compareHello asks again with a ClientHello that fits into one packet.
func (w *walk) compareHello(ctx context.Context, c *Certificate) {
	small := w.tlsConfig()
	small.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	if _, err := w.handshakeTLS(ctx, small); err == nil {
		c.SmallHello = true
		c.Detail += "; it does with a smaller ClientHello"
	}
}

// completesChain reports whether the chain is trusted together with the issuers'
// certificates that it links to. Some browsers follow these links (RFC 5280 §4.2.2.1),
// most other clients do not.
func (w *walk) completesChain(ctx context.Context, chain []*x509.Certificate) bool {
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	last := chain[len(chain)-1]
	for range 3 {
		issuer := w.fetchIssuer(ctx, last)
		if issuer == nil {
			return false
		}
		intermediates.AddCert(issuer)
		o := x509.VerifyOptions{Intermediates: intermediates, CurrentTime: w.Now()}
		if w.TLS != nil {
			o.Roots = w.TLS.RootCAs
		}
		if _, err := chain[0].Verify(o); err == nil {
			return true
		}
		last = issuer
	}
	return false
}

// fetchIssuer downloads the certificate of the issuer of c. It returns nil on failure.
func (w *walk) fetchIssuer(ctx context.Context, c *x509.Certificate) *x509.Certificate {
	for _, address := range c.IssuingCertificateURL {
		if !strings.HasPrefix(address, "http://") {
			continue
		}
		der, err := w.fetch(ctx, address, "", 64<<10)
		if err != nil {
			continue
		}
		if issuer, err := x509.ParseCertificate(der); err == nil && c.CheckSignatureFrom(issuer) == nil {
			return issuer
		}
	}
	return nil
}

// fetch returns up to limit bytes of the body of a GET request, whatever its status, with a bearer
// token unless that is empty.
func (w *walk) fetch(ctx context.Context, address, token string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err //nolint:wrapcheck // shown as it is
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: w.tlsConfigFor(request.URL.Hostname()), DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err //nolint:wrapcheck // shown as it is
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(io.LimitReader(response.Body, limit)) //nolint:wrapcheck // shown as it is
}

func (w *walk) tlsConfigFor(host string) *tls.Config {
	c := w.tlsConfig()
	c.ServerName = host
	return c
}

// certificateNames returns the first names that a certificate is valid for.
func certificateNames(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return c.Subject.CommonName
	}
	return strings.Join(names[:min(len(names), 4)], ", ")
}
