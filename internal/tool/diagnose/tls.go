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
	"time"
)

// noProtocol is part of the error for the TLS alert of a server that speaks none of the
// offered protocols (RFC 7301 §3.2).
const noProtocol = "no application protocol"

// connectTLS performs a TLS handshake.
func (d *diagnosis) connectTLS(ctx context.Context) (string, error) {
	if d.target.Scheme != "wss" {
		return "", errSkipped
	}
	state, err := d.handshakeTLS(ctx, d.tlsConfig())
	if err != nil {
		return "", d.tlsProblem(ctx, err)
	}
	leaf := state.PeerCertificates[0]
	left := leaf.NotAfter.Sub(d.Now())
	detail := fmt.Sprintf("%s, certificate of %s issued by %s, valid until %s",
		tls.VersionName(state.Version), certificateNames(leaf), leaf.Issuer.CommonName, leaf.NotAfter.UTC().Format(time.DateOnly))
	if left < 7*24*time.Hour {
		detail += fmt.Sprintf(" (%d hours from now)", int(left.Hours()))
	}
	return detail, nil
}

func (d *diagnosis) handshakeTLS(ctx context.Context, config *tls.Config) (*tls.ConnectionState, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, d.dialProblem(err)
	}
	defer func() { _ = conn.Close() }()
	if config.ServerName == "" {
		config.ServerName = d.target.Hostname()
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	t := tls.Client(conn, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := t.ConnectionState()
	return &state, nil
}

// tlsProblem explains a failed TLS handshake.
func (d *diagnosis) tlsProblem(ctx context.Context, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	var chain []*x509.Certificate
	if v, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		chain = v.UnverifiedCertificates
	}
	host, wrongName := errors.AsType[x509.HostnameError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case record:
		return &problem{cause: "tls_on_plain_port", detail: d.hostPort() + " answered, but not with TLS"}
	case wrongName:
		return &problem{cause: "tls_wrong_name", detail: fmt.Sprintf("the certificate is for %s, not for %s", certificateNames(host.Certificate), d.target.Hostname())}
	case isInvalid && invalid.Reason == x509.Expired:
		return &problem{cause: "tls_expired", detail: fmt.Sprintf("the certificate of %s is valid from %s to %s, but this machine's clock says %s",
			certificateNames(invalid.Cert), invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339), d.Now().UTC().Format(time.RFC3339))}
	case authority && len(chain) > 0 && d.completesChain(ctx, chain):
		return &problem{cause: "tls_incomplete_chain", detail: "the server did not send the intermediate certificate of " + chain[len(chain)-1].Issuer.CommonName + ", with which its own certificate would be trusted"}
	case authority:
		issuer := "an unknown authority"
		if len(chain) > 0 {
			issuer = chain[len(chain)-1].Issuer.String()
		}
		return &problem{cause: "tls_unknown_authority", detail: "the certificate was issued by " + issuer + ", which this machine does not trust"}
	case strings.Contains(err.Error(), noProtocol):
		return &problem{cause: "http_2_only", detail: "the server does not accept HTTP/1.1, which WebSocket handshakes need"}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{cause: "tls_failed", detail: fmt.Sprintf("%s accepted the connection but did not complete the TLS handshake within %v", d.hostPort(), d.Timeout)}
	}
	return &problem{cause: "tls_failed", detail: err.Error()}
}

// completesChain reports whether the chain is trusted together with the issuers'
// certificates that it links to. Some browsers follow these links (RFC 5280 §4.2.2.1),
// most other clients do not.
func (d *diagnosis) completesChain(ctx context.Context, chain []*x509.Certificate) bool {
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	last := chain[len(chain)-1]
	for range 3 {
		issuer := d.fetchIssuer(ctx, last)
		if issuer == nil {
			return false
		}
		intermediates.AddCert(issuer)
		o := x509.VerifyOptions{Intermediates: intermediates, CurrentTime: d.Now()}
		if d.TLS != nil {
			o.Roots = d.TLS.RootCAs
		}
		if _, err := chain[0].Verify(o); err == nil {
			return true
		}
		last = issuer
	}
	return false
}

// fetchIssuer downloads the certificate of the issuer of c. It returns nil on failure.
func (d *diagnosis) fetchIssuer(ctx context.Context, c *x509.Certificate) *x509.Certificate {
	for _, address := range c.IssuingCertificateURL {
		if !strings.HasPrefix(address, "http://") {
			continue
		}
		der, err := d.fetch(ctx, address, 64<<10)
		if err != nil {
			continue
		}
		if issuer, err := x509.ParseCertificate(der); err == nil && c.CheckSignatureFrom(issuer) == nil {
			return issuer
		}
	}
	return nil
}

// fetch returns up to limit bytes of the body of a GET request, whatever its status.
func (d *diagnosis) fetch(ctx context.Context, address string, limit int64) ([]byte, error) {
	return d.fetchWith(ctx, address, "", limit)
}

// fetchWith is fetch with a bearer token, unless that is empty.
func (d *diagnosis) fetchWith(ctx context.Context, address, token string, limit int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := d.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(io.LimitReader(response.Body, limit))
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
