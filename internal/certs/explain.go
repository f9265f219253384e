package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// A Kind is a way in which a TLS handshake fails that has a cure of its own.
type Kind int

// The kinds of failures.
const (
	Other                  Kind = iota // a wrong name, an expired certificate, or no failure of TLS
	UnknownAuthority                   // the certificate of the server is signed by an authority that is not known here
	NoTLS                              // the server does not speak TLS
	WantsClientCertificate             // the server wants another client certificate, or one at all
)

// KindOf returns the kind of a failure that [Explain] explains.
func KindOf(err error) Kind {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return UnknownAuthority
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return NoTLS
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" && strings.Contains(op.Err.Error(), "certificate") {
		return WantsClientCertificate
	}
	return Other
}

// Explain returns why a TLS handshake failed, or "" if err is not the failure of one. Each way to
// fail has words of its own: an unknown authority with the name of the issuer, a wrong name with
// the names in the certificate, an expired certificate with the time.
func Explain(err error) string {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return unknownAuthority(unknown)
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		return wrongName(host)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return unusable(invalid)
	}
	if verification, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the server's certificate cannot be verified: " + verification.Err.Error()
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server does not answer in TLS: it may not use TLS on this port"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return refusal(op.Err.Error())
	}
	if text := err.Error(); strings.Contains(text, "tls: ") && !strings.Contains(text, "tls: use of closed") {
		return text[strings.Index(text, "tls: "):]
	}
	return ""
}

func unknownAuthority(e x509.UnknownAuthorityError) string {
	text := "the server's certificate is signed by an unknown authority"
	if e.Cert != nil {
		text += fmt.Sprintf(": its issuer is %q", e.Cert.Issuer.String())
		if e.Cert.Issuer.String() == e.Cert.Subject.String() {
			text += " (self-signed)"
		}
	}
	if _, hint, ok := strings.Cut(e.Error(), " (possibly because of "); ok { // an expired CA, or one of the same name
		text += "; possibly because of " + strings.TrimSuffix(hint, ")")
	}
	return text
}

func wrongName(e x509.HostnameError) string {
	var names []string
	if e.Certificate != nil {
		names = append(names, e.Certificate.DNSNames...)
		for _, ip := range e.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
	}
	const most = 8
	switch {
	case len(names) == 0:
		return fmt.Sprintf("the server's certificate is not for %q: it has no names (subjectAltName)", e.Host)
	case len(names) > most:
		names = append(names[:most], "…")
	}
	return fmt.Sprintf("the server's certificate is not for %q, but for %s", e.Host, strings.Join(names, ", "))
}

func unusable(e x509.CertificateInvalidError) string {
	if e.Reason != x509.Expired || e.Cert == nil {
		return "the server's certificate is not valid: " + strings.TrimPrefix(e.Error(), "x509: ")
	}
	if now := time.Now(); now.Before(e.Cert.NotBefore) {
		return fmt.Sprintf("the server's certificate %q is not valid before %s; the clock here says %s",
			e.Cert.Subject.String(), e.Cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("the server's certificate %q expired at %s", e.Cert.Subject.String(), e.Cert.NotAfter.UTC().Format(time.RFC3339))
}

// refusal describes an alert that the server has sent.
func refusal(alert string) string {
	alert = strings.TrimPrefix(alert, "tls: ")
	text := "the server refused the TLS handshake: " + alert
	if strings.Contains(alert, "certificate") {
		text += ". It wants another client certificate, or one at all"
	}
	return text
}
