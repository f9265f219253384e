// Package certs loads the certificates with which a replica connects to its stores, and says in
// words why a TLS handshake failed.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/roomspa/roomspa/internal/unseen"
)

// Files are paths of PEM files. The zero value means the CAs of the system and no client
// certificate.
type Files struct {
	CA        string // certificates of the CAs to trust, instead of those of the system
	Cert, Key string // client certificate, with the chain up to the CA, and its private key
}

// Paths returns the paths of the files that are given.
func (f Files) Paths() (paths []string) {
	for _, p := range []string{f.CA, f.Cert, f.Key} {
		if p != "" {
			paths = append(paths, p)
		}
	}
	return paths
}

// Load reads the files. An error names the flag of the file, which begins with the store's name,
// such as database or redis.
func (f Files) Load(store string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pem, err := readText(f.CA)
		if err != nil {
			return nil, fmt.Errorf("--%s-ca-file: %w", store, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--%s-ca-file: %s has no certificate in PEM format", store, f.CA)
		}
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, fmt.Errorf("--%s-client-cert-file and --%s-client-key-file need each other: give both or none", store, store)
	}
	if f.Cert != "" {
		pair, err := f.pair()
		if err != nil {
			return nil, fmt.Errorf("--%s-client-cert-file or --%s-client-key-file: %w", store, store, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// pair reads the client certificate and its key.
func (f Files) pair() (tls.Certificate, error) {
	cert, err := readText(f.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readText(f.Key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// readText reads a file without the byte order mark that some editors put before a text, and
// behind which no certificate is found.
func readText(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text, err := unseen.File(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return []byte(text), nil
}
