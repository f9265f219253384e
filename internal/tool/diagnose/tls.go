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

// noProtocol is how the alert of a server reads that speaks none of the protocols
// that were offered (RFC 7301 §3.2).
const noProtocol = "no application protocol"

// encrypt agrees on TLS.
func (w *walk) encrypt(ctx context.Context) (string, error) {
	if w.target.Scheme != "wss" {
		return "", errNotHere
	}
	state, err := w.shake(ctx, w.tlsConfig())
	if err != nil {
		return "", w.unencrypted(ctx, err)
	}
	leaf := state.PeerCertificates[0]
	left := leaf.NotAfter.Sub(w.Now())
	detail := fmt.Sprintf("%s, certificate of %s by %s, good until %s",
		tls.VersionName(state.Version), name(leaf), leaf.Issuer.CommonName, leaf.NotAfter.UTC().Format(time.DateOnly))
	if left < 7*24*time.Hour {
		detail += fmt.Sprintf(": in %d hours it is over", int(left.Hours()))
	}
	return detail, nil
}

func (w *walk) shake(ctx context.Context, config *tls.Config) (*tls.ConnectionState, error) {
	conn, err := w.dial(ctx)
	if err != nil {
		return nil, w.unconnected(err)
	}
	defer func() { _ = conn.Close() }()
	if config.ServerName == "" {
		config.ServerName = w.target.Hostname()
	}
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	t := tls.Client(conn, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state := t.ConnectionState()
	return &state, nil
}

func (w *walk) unencrypted(ctx context.Context, err error) *trouble {
	if t, ok := errors.AsType[*trouble](err); ok {
		return t
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
		return &trouble{cause: "tls_on_plain_port", detail: w.hostPort() + " answers, but not with TLS"}
	case wrongName:
		return &trouble{cause: "tls_wrong_name", detail: fmt.Sprintf("the certificate is for %s, not for %s", name(host.Certificate), w.target.Hostname())}
	case isInvalid && invalid.Reason == x509.Expired:
		return &trouble{cause: "tls_expired", detail: fmt.Sprintf("the certificate of %s is good from %s to %s, and this machine's clock says %s",
			name(invalid.Cert), invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339), w.Now().UTC().Format(time.RFC3339))}
	case authority && len(chain) > 0 && w.completes(ctx, chain):
		return &trouble{cause: "tls_incomplete_chain", detail: "the server sends its certificate without the one of " + chain[len(chain)-1].Issuer.CommonName + ", which has signed it; with that one it would be trusted"}
	case authority:
		issuer := "somebody"
		if len(chain) > 0 {
			issuer = chain[len(chain)-1].Issuer.String()
		}
		return &trouble{cause: "tls_unknown_authority", detail: "nothing here trusts " + issuer + ", who has signed the certificate"}
	case strings.Contains(err.Error(), noProtocol):
		return &trouble{cause: "http_2_only", detail: "what answers does not speak HTTP/1.1, the protocol of a WebSocket handshake"}
	case errors.Is(err, context.DeadlineExceeded):
		return &trouble{cause: "tls_failed", detail: fmt.Sprintf("%s takes the connection and does not answer with TLS within %v", w.hostPort(), w.Timeout)}
	}
	return &trouble{cause: "tls_failed", detail: err.Error()}
}

// completes reports whether the chain is trusted once the certificates are there
// that it says where to get: what some browsers do by themselves (RFC 5280
// §4.2.2.1), and hardly any other client.
func (w *walk) completes(ctx context.Context, chain []*x509.Certificate) bool {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	last := chain[len(chain)-1]
	for range 3 {
		issuer := w.fetchIssuer(ctx, last)
		if issuer == nil {
			return false
		}
		between.AddCert(issuer)
		o := x509.VerifyOptions{Intermediates: between, CurrentTime: w.Now()}
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

func (w *walk) fetchIssuer(ctx context.Context, of *x509.Certificate) *x509.Certificate {
	for _, from := range of.IssuingCertificateURL {
		if !strings.HasPrefix(from, "http://") {
			continue
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
		if err != nil {
			continue
		}
		response, err := w.http.Do(request)
		if err != nil {
			continue
		}
		der, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		_ = response.Body.Close()
		if issuer, bad := x509.ParseCertificate(der); err == nil && bad == nil && of.CheckSignatureFrom(issuer) == nil {
			return issuer
		}
	}
	return nil
}

func name(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return c.Subject.CommonName
	}
	return strings.Join(names[:min(len(names), 4)], ", ")
}
