package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A cluster is where the tests install, all in a namespace of their own.
type cluster struct {
	image     string
	ingress   *url.URL // as clients reach it
	class     string
	from      string // the ingress controller's namespace
	namespace string
	dir       string
	roots     *x509.CertPool
}

// find reads from the environment where everything is, or says what is missing.
func find() (*cluster, error) {
	var missing []string
	for _, v := range [][2]string{
		{"KUBECONFIG", "a file that leads to a cluster"},
		{"IMAGE", "roomspa's image, as in registry.example.com/roomspa:1.2.3"},
		{"INGRESS", "where its ingress answers, as in https://e2e.example.com, by a name that leads there"},
		{"INGRESS_NAMESPACE", "where the ingress controller's pods are"},
	} {
		if os.Getenv(v[0]) == "" {
			missing = append(missing, v[0]+" ("+v[1]+")")
		}
	}
	for _, program := range []string{"kubectl", "helm"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program+" (in PATH)")
		}
	}
	if len(missing) > 0 {
		return nil, errors.New("missing: " + strings.Join(missing, ", "))
	}
	at, err := url.Parse(os.Getenv("INGRESS"))
	if err != nil || at.Scheme != "https" || at.Hostname() == "" || net.ParseIP(at.Hostname()) != nil {
		return nil, errors.New("INGRESS is not an https URL with a host's name")
	}
	if _, err := net.DefaultResolver.LookupHost(context.Background(), at.Hostname()); err != nil {
		return nil, fmt.Errorf("missing: the address of INGRESS: %w", err)
	}
	return &cluster{
		image: os.Getenv("IMAGE"), ingress: at, class: os.Getenv("INGRESS_CLASS"), from: os.Getenv("INGRESS_NAMESPACE"),
		namespace: fmt.Sprintf("roomspa-e2e-%d", time.Now().Unix()),
	}, nil
}

// run runs kubectl or helm in the namespace. An error has what it said.
func (c *cluster) run(ctx context.Context, input, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, append([]string{"--namespace", c.namespace}, args...)...)
	var out, failed bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &failed
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, out.String(), failed.String())
	}
	return strings.TrimSpace(out.String()), nil
}

func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.run(t.Context(), "", "kubectl", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// upgrade installs or upgrades the release, and waits for the migration alone.
func (c *cluster) upgrade(ctx context.Context, set ...string) error {
	repository, tag, _ := strings.Cut(c.image, ":")
	if i := strings.LastIndexByte(c.image, ':'); i > strings.LastIndexByte(c.image, '/') {
		repository, tag = c.image[:i], c.image[i+1:]
	}
	args := []string{
		"upgrade", "--install", "roomspa", "../charts/roomspa", "--values", "testdata/values.yaml", "--timeout", "3m",
		"--set", "image.repository=" + repository, "--set-string", "image.tag=" + tag,
		"--set", "ingress.className=" + c.class, "--set", "ingress.hosts={" + c.ingress.Hostname() + "}",
		"--set-string", `networkPolicy.clients[0].namespaceSelector.matchLabels.kubernetes\.io/metadata\.name=` + c.from,
	}
	for _, s := range set {
		args = append(args, "--set-string", s)
	}
	_, err := c.run(ctx, "", "helm", args...)
	return err
}

// install makes the namespace, which enforces the restricted standard, and all that
// is in it.
func (c *cluster) install(ctx context.Context) error {
	if err := c.certify(); err != nil {
		return err
	}
	users := []string{"create", "secret", "generic", "e2e-users", "--from-literal=password=" + password, "--from-literal=peer-password=" + password}
	users = append(users, "--from-literal=identifier="+email(1), "--from-literal=peer-identifier="+email(2))
	for _, args := range [][]string{
		{"create", "namespace", c.namespace},
		{"label", "namespace", c.namespace, "pod-security.kubernetes.io/enforce=restricted"},
		{"create", "secret", "tls", "e2e-tls", "--cert", filepath.Join(c.dir, "tls.crt"), "--key", filepath.Join(c.dir, "tls.key")},
		users,
		{"apply", "-k", "../k8s/overlays/dev/stores"},
		{"apply", "-f", "testdata/stores.yaml"},
		{"rollout", "status", "deployment/postgres", "--timeout=2m"},
		{"rollout", "status", "deployment/redis", "--timeout=2m"},
	} {
		if _, err := c.run(ctx, "", "kubectl", args...); err != nil {
			return err
		}
	}
	if err := c.upgrade(ctx); err != nil {
		return err
	}
	_, err := c.run(ctx, "", "kubectl", "rollout", "status", "deployment/roomspa", "--timeout=60s")
	return err
}

// remove takes everything away again, the namespace last.
func (c *cluster) remove(ctx context.Context) error {
	_, first := c.run(ctx, "", "helm", "uninstall", "roomspa", "--ignore-not-found", "--wait", "--timeout", "2m")
	_, second := c.run(ctx, "", "kubectl", "delete", "namespace", c.namespace, "--ignore-not-found", "--timeout=3m")
	return errors.Join(first, second)
}

// certify makes a certificate for the ingress, which only these tests trust.
func (c *cluster) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{c.ingress.Hostname()}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, own, own, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.roots = x509.NewCertPool()
	c.roots.AppendCertsFromPEM(certificate)
	return errors.Join(
		os.WriteFile(filepath.Join(c.dir, "tls.crt"), certificate, 0o600),
		os.WriteFile(filepath.Join(c.dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}

func (c *cluster) tls() *tls.Config { return &tls.Config{RootCAs: c.roots} }

// ready returns the addresses of the replicas that get handshakes.
func (c *cluster) ready(t *testing.T) []string {
	t.Helper()
	return strings.Fields(c.kubectl(t, "get", "endpointslices", "-l", "kubernetes.io/service-name=roomspa",
		"-o", `jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}`))
}

// eventually waits until a condition holds, and returns how long that took.
func eventually(t *testing.T, what string, most time.Duration, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Since(began) > most {
			t.Fatalf("not within %v: %s", most, what)
		}
		<-tick.C
	}
	return time.Since(began)
}
