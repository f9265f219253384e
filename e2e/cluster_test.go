package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
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

// A cluster is the cluster under test, and the namespace that the tests create in it.
type cluster struct {
	image      string
	prometheus string   // image
	ingress    *url.URL // public URL
	class      string
	from       string // namespace of the ingress controller
	gateway    string // gateway class; "none" to skip the tests of gateways
	listener   string // port of the gateway
	metrics    string // namespace of the Prometheus that serves custom metrics; "none" to skip their test
	namespace  string
	dir        string
	roots      *x509.CertPool
}

// fromEnvironment reads the cluster's settings from the environment. The error lists all
// that are missing.
func fromEnvironment() (*cluster, error) {
	var missing []string
	for _, v := range [][2]string{
		{"KUBECONFIG", "the kubeconfig of a cluster"},
		{"IMAGE", "roomspa's image, as in registry.example.com/roomspa:1.2.3"},
		{"PROMETHEUS_IMAGE", "the image of Prometheus 3"},
		{"INGRESS", "the URL of the ingress, as in https://e2e.example.com, with a resolvable host name"},
		{"INGRESS_NAMESPACE", "the namespace of the ingress controller and of the gateways"},
		{"METRICS_NAMESPACE", "the namespace of the Prometheus whose adapter serves custom.metrics.k8s.io, or none to skip the test of the HorizontalPodAutoscaler"},
		{"GATEWAY_CLASS", "the class of gateways that have the same address, or none to skip their test"},
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
		return nil, errors.New("INGRESS is not an https URL with a host name")
	}
	if _, err := net.DefaultResolver.LookupHost(context.Background(), at.Hostname()); err != nil {
		return nil, fmt.Errorf("resolve the host of INGRESS: %w", err)
	}
	c := &cluster{
		image: os.Getenv("IMAGE"), prometheus: os.Getenv("PROMETHEUS_IMAGE"), ingress: at, class: os.Getenv("INGRESS_CLASS"),
		from: os.Getenv("INGRESS_NAMESPACE"), gateway: os.Getenv("GATEWAY_CLASS"), listener: cmp.Or(os.Getenv("GATEWAY_PORT"), "443"),
		metrics:   os.Getenv("METRICS_NAMESPACE"),
		namespace: fmt.Sprintf("roomspa-e2e-%d", time.Now().Unix()),
	}
	return c, nil
}

// run runs kubectl or helm in the namespace. The error includes their output.
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

// splitImage splits the image's name into repository and tag.
func (c *cluster) splitImage() (repository, tag string) {
	i := strings.LastIndexByte(c.image, ':')
	if i <= strings.LastIndexByte(c.image, '/') {
		return c.image, "latest"
	}
	return c.image[:i], c.image[i+1:]
}

// helmFlags returns the flags of an installation with Helm, followed by more.
func (c *cluster) helmFlags(more ...string) []string {
	repository, tag := c.splitImage()
	return append([]string{
		"--values", "testdata/values.yaml", "--set", "image.repository=" + repository, "--set-string", "image.tag=" + tag,
		"--set", "ingress.className=" + c.class, "--set", "ingress.hosts={" + c.ingress.Hostname() + "}",
		"--set", "httpRoute.hostnames={" + c.ingress.Hostname() + "}",
		"--set-string", `networkPolicy.clients[0].namespaceSelector.matchLabels.kubernetes\.io/metadata\.name=` + c.from,
	}, more...)
}

// upgrade installs or upgrades the release. It waits only for the migration.
func (c *cluster) upgrade(ctx context.Context, more ...string) error {
	args := append([]string{"upgrade", "--install", "roomspa", "../charts/roomspa", "--timeout", "3m"}, c.helmFlags(more...)...)
	_, err := c.run(ctx, "", "helm", args...)
	return err
}

// restore resets the release to two replicas with default values when the test ends.
func (c *cluster) restore(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := c.upgrade(ctx); err != nil {
			t.Error(err)
		}
		if err := c.settle(ctx); err != nil {
			t.Error(err)
		}
	})
}

// settle waits until all replicas are ready and all older ones are gone.
func (c *cluster) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if _, err := c.run(ctx, "", "kubectl", "rollout", "status", "deployment/roomspa", "--timeout=4m"); err != nil {
		return err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		pods, err := c.run(ctx, "", "kubectl", "get", "pods", "-l", server, "-o", "name")
		if err != nil {
			return err
		}
		want, err := c.run(ctx, "", "kubectl", "get", "deployment", "roomspa", "-o", "jsonpath={.spec.replicas}")
		if err != nil || fmt.Sprint(len(strings.Fields(pods))) == want {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s replicas: there are %s", want, strings.ReplaceAll(pods, "\n", " "))
		}
	}
}

// install creates the namespace, which enforces the restricted Pod Security Standard,
// and everything in it.
func (c *cluster) install(ctx context.Context) error {
	if err := errors.Join(c.createCertificate(), c.writeRules(ctx)); err != nil {
		return err
	}
	monitor, err := os.ReadFile("testdata/prometheus.yaml")
	if err != nil {
		return err
	}
	users := []string{"create", "secret", "generic", "e2e-users", "--from-literal=password=" + password, "--from-literal=peer-password=" + password}
	users = append(users, "--from-literal=identifier="+email(1), "--from-literal=peer-identifier="+email(2))
	for _, step := range []struct {
		input string
		args  []string
	}{
		{args: []string{"create", "namespace", c.namespace}},
		{args: []string{"label", "namespace", c.namespace, "pod-security.kubernetes.io/enforce=restricted"}},
		{args: []string{"create", "secret", "tls", "e2e-tls", "--cert", filepath.Join(c.dir, "tls.crt"), "--key", filepath.Join(c.dir, "tls.key")}},
		{args: users},
		{args: []string{"create", "configmap", "prometheus", "--from-file=testdata/prometheus.yml", "--from-file=" + filepath.Join(c.dir, "rules.yml")}},
		{input: strings.Replace(string(monitor), "IMAGE", c.prometheus, 1), args: []string{"apply", "-f", "-"}},
		{args: []string{"apply", "-k", "testdata/stores"}},
		{args: []string{"rollout", "status", "deployment/postgres", "--timeout=2m"}},
		{args: []string{"rollout", "status", "deployment/redis", "--timeout=2m"}},
		{args: []string{"rollout", "status", "deployment/prometheus", "--timeout=2m"}},
	} {
		if _, err := c.run(ctx, step.input, "kubectl", step.args...); err != nil {
			return err
		}
	}
	if err := c.upgrade(ctx); err != nil {
		return err
	}
	_, err = c.run(ctx, "", "kubectl", "rollout", "status", "deployment/roomspa", "--timeout=60s")
	return err
}

// createUsers creates all users. The first two have passwords, the others use tokens.
func (c *cluster) createUsers(ctx context.Context) error {
	for id := 1; id <= 2; id++ {
		_, err := c.run(ctx, password, "kubectl", "exec", "--stdin", "deployment/roomspa", "--", "/roomspa", "user", "create",
			"--id", fmt.Sprint(id), "--role", [...]string{"therapist", "customer"}[id%2], "--email", email(id), "--password-file", "-")
		if err != nil {
			return err
		}
	}
	return c.sql(ctx, fmt.Sprintf(`INSERT INTO roomspa.users (id, email, role, is_active, password)
		SELECT id, format('user%%s@example.com', id), CASE id %% 2 WHEN 1 THEN 'customer' ELSE 'therapist' END, true, '!'
		FROM generate_series(3, %d) id`, users))
}

// sql executes statements in Postgres.
func (c *cluster) sql(ctx context.Context, statements string) error {
	_, err := c.run(ctx, statements, "kubectl", "exec", "--stdin", "deployment/postgres", "--",
		"psql", "-h", "127.0.0.1", "-U", "roomspa", "-v", "ON_ERROR_STOP=1", "-q", "-f", "-")
	return err
}

// remove uninstalls the release and deletes the namespace.
func (c *cluster) remove(ctx context.Context) error {
	_, first := c.run(ctx, "", "helm", "uninstall", "roomspa", "--ignore-not-found", "--wait", "--timeout", "2m")
	_, second := c.run(ctx, "", "kubectl", "delete", "namespace", c.namespace, "--ignore-not-found", "--timeout=5m")
	return errors.Join(first, second)
}

// createCertificate creates a self-signed certificate for the ingress.
func (c *cluster) createCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "roomspa e2e"}, DNSNames: []string{c.ingress.Hostname()}, NotBefore: time.Now().Add(-time.Hour),
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

// server selects the replicas' pods.
const server = "app.kubernetes.io/component=server,app.kubernetes.io/name=roomspa"

// apply applies a file of testdata after replacing the given words in it.
func (c *cluster) apply(t *testing.T, file string, replace ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.run(t.Context(), strings.NewReplacer(replace...).Replace(string(text)), "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// pods returns the names of the replicas.
func (c *cluster) pods(t *testing.T) []string {
	t.Helper()
	return strings.Fields(c.kubectl(t, "get", "pods", "-l", server, "-o", "jsonpath={.items[*].metadata.name}"))
}

// restarts returns the restart counts of the replicas' containers.
func (c *cluster) restarts(t *testing.T) string {
	t.Helper()
	return c.kubectl(t, "get", "pods", "-l", server, "-o", "jsonpath={.items[*].status.containerStatuses[0].restartCount}")
}

// endpoints returns the addresses of the ready replicas.
func (c *cluster) endpoints(t *testing.T) []string {
	t.Helper()
	return strings.Fields(c.kubectl(t, "get", "endpointslices", "-l", "kubernetes.io/service-name=roomspa",
		"-o", `go-template={{range .items}}{{range .endpoints}}{{if .conditions.ready}}{{index .addresses 0}} {{end}}{{end}}{{end}}`))
}

// consistently calls check repeatedly for the given time.
func consistently(t *testing.T, d time.Duration, check func()) {
	t.Helper()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < d; <-tick.C {
		check()
	}
}

// eventually waits until the condition holds, and returns how long that took.
func eventually(t *testing.T, what string, limit time.Duration, condition func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		if time.Since(began) > 10*time.Second {
			tick.Reset(2 * time.Second) // a condition that runs kubectl takes much CPU time
		}
		<-tick.C
	}
	return time.Since(began)
}
