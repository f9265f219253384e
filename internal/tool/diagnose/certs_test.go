package diagnose_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string, by *authority, edit ...func(*x509.Certificate)) *authority {
	t.Helper()
	cert, key := issue(t, by, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, edit...)
	return &authority{cert, key}
}

// issue signs a certificate; by itself where by is nil.
func issue(t testing.TB, by *authority, c *x509.Certificate, edit ...func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(24*365*time.Hour)
	for _, e := range edit {
		e(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// certify makes a certificate for localhost, signed by the authority.
func (a *authority) certify(t testing.TB, edit ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	cert, key := issue(t, a, &x509.Certificate{Subject: pkix.Name{CommonName: "the server"}, DNSNames: []string{"localhost"}}, edit...)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// trust is what a client has that trusts the authority.
func (a *authority) trust() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// serveTLS ends TLS in front of a replica, and returns the port.
func serveTLS(t testing.TB, target string, cert tls.Certificate, edit ...func(*tls.Config)) string {
	t.Helper()
	s := httptest.NewUnstartedServer(reverseProxy(always(target), nil, world.Limit))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	for _, e := range edit {
		e(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// overTLS is a diagnosis by the name localhost.
func overTLS(t testing.TB, port string, trust *tls.Config) diagnose.Options {
	t.Helper()
	o := chat(t, "localhost:"+port)
	o.URL = "wss" + o.URL[len("ws"):]
	o.TLS = trust
	return o
}
