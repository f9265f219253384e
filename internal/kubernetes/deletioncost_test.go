package kubernetes

import (
	"bytes"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

const token = "eyJhbGciOiJSUzI1NiJ9.the-token-of-the-service-account.signature"

// A cluster is an API server with a certificate of its own, and the files that a Pod
// finds.
type cluster struct {
	server  *httptest.Server
	account string
	log     bytes.Buffer

	mu     sync.Mutex
	asked  []string // method, path, type, body
	tokens []string
	answer http.HandlerFunc // nil for 200
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{account: t.TempDir()}
	c.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked = append(c.asked, strings.Join([]string{r.Method, r.URL.Path, r.Header.Get("Content-Type"), string(body)}, " "))
		c.tokens = append(c.tokens, r.Header.Get("Authorization"))
		if c.answer != nil {
			c.answer(w, r)
		}
	}))
	c.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	c.server.StartTLS()
	t.Cleanup(c.server.Close)
	c.mend(t)
	return c
}

// mend makes everything be as it is to be.
func (c *cluster) mend(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	c.answer = nil
	c.mu.Unlock()
	c.write(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.server.Certificate().Raw})))
	c.write(t, "namespace", "spa\n")
	c.write(t, "token", token+"\n")
}

func (c *cluster) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.account, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) pod(reg prometheus.Registerer) *DeletionCost {
	d := &DeletionCost{Pod: "roomspa-5d9-x7", API: c.server.URL, Account: c.account, Log: slog.New(slog.NewTextHandler(&c.log, nil)), last: -1}
	d.Register(reg)
	return d
}

func TestThePodsOwnAnnotationIsPatched(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d := c.pod(prometheus.NewRegistry())
	d.write(t.Context(), 812)
	c.write(t, "token", "a-newer-token") // as the kubelet does before the old one expires
	d.write(t.Context(), 7)
	want := "PATCH /api/v1/namespaces/spa/pods/roomspa-5d9-x7 application/merge-patch+json " +
		`{"metadata":{"annotations":{"controller.kubernetes.io/pod-deletion-cost":"812"}}}`
	if len(c.asked) != 2 || c.asked[0] != want || !strings.HasSuffix(c.asked[1], `"7"}}}`) {
		t.Errorf("asked %q, want first %q", c.asked, want)
	}
	if c.tokens[0] != "Bearer "+token || c.tokens[1] != "Bearer a-newer-token" {
		t.Errorf("the tokens were %q", c.tokens)
	}
	if c.log.Len() != 0 {
		t.Errorf("logged:\n%s", &c.log)
	}
}

func TestOnlyAChangeOfATenthIsWritten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		last, now int
		want      bool
	}{{-1, 0, true}, {0, 0, false}, {0, 1, true}, {1000, 1100, false}, {1000, 1101, true}, {1000, 900, false}, {1000, 899, true}, {5, 0, true}} {
		if got := (&DeletionCost{last: c.last}).changed(c.now); got != c.want {
			t.Errorf("from %d to %d: %t", c.last, c.now, got)
		}
	}
}

func TestWhatGoesWrongIsSaidOnce(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]struct {
		do   func(*testing.T, *cluster)
		want string
	}{
		"no right to": {func(_ *testing.T, c *cluster) {
			c.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, `{"kind":"Status","message":"pods \"x\" is forbidden: User \"y\" cannot patch resource"}`)
			}
		}, "403 Forbidden: pods"},
		"an answer of somebody else": {func(_ *testing.T, c *cluster) {
			c.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
		}, "answers 502 Bad Gateway"},
		"a redirect": {func(_ *testing.T, c *cluster) {
			c.answer = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
			}
		}, "answers 302 Found"},
		"no token mounted": {func(t *testing.T, c *cluster) {
			t.Helper()
			if err := os.Remove(filepath.Join(c.account, "token")); err != nil {
				t.Fatal(err)
			}
		}, "automountServiceAccountToken"},
		"an authority that is none": {func(t *testing.T, c *cluster) { t.Helper(); c.write(t, "ca.crt", "x") }, "holds no certificate"},
		"another authority": {func(t *testing.T, c *cluster) {
			t.Helper()
			c.write(t, "ca.crt", otherAuthority)
		}, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			trouble.do(t, c)
			reg := prometheus.NewRegistry()
			d := c.pod(reg)
			for range 3 {
				d.write(t.Context(), 10)
			}
			said := c.log.String()
			if strings.Count(said, "Cannot write the Pod's deletion cost") != 1 || !strings.Contains(said, "level=WARN") || !strings.Contains(said, trouble.want) {
				t.Errorf("logged:\n%s", said)
			}
			if strings.Contains(said, token) || strings.Contains(said, "the-token") {
				t.Errorf("the token was logged:\n%s", said)
			}
			families, err := reg.Gather()
			if err != nil || len(families) != 1 || families[0].GetMetric()[0].GetCounter().GetValue() != 3 || !d.changed(10) {
				t.Errorf("counted: %v, %v", families, err)
			}
			c.mend(t)
			if d.write(t.Context(), 10); d.last != 10 || !strings.Contains(c.log.String(), "is written again") {
				t.Errorf("wrote %d; logged:\n%s", d.last, &c.log)
			}
		})
	}
}

// otherAuthority is one that has signed nothing here.
const otherAuthority = `-----BEGIN CERTIFICATE-----
MIIBjzCCATWgAwIBAgIUUbIOoSpC3zOjxX7eqdhPpiyonEUwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRYW5vdGhlciBhdXRob3JpdHkwIBcNMjYxMTI4MDc0OTE2WhgP
MjEyNjExMDQwNzQ5MTZaMBwxGjAYBgNVBAMMEWFub3RoZXIgYXV0aG9yaXR5MFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJHmuxTXQLc58/P5pOztayXrAQ8fi59jY
VNYkIu+DbfQ+Ii0kuaO7+ygIt2EatyriEOaz0s7DbebRqzJ16alhs6NTMFEwHQYD
VR0OBBYEFPMl4qhiGdWmp1F0Bt0nmgRRCIBHMB8GA1UdIwQYMBaAFPMl4qhiGdWm
p1F0Bt0nmgRRCIBHMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIg
Th7/+KUQeozBioNBCYTAnoIb1YGHBjUQVfwKZAF8kfgCIQD9hy4CPb7VGiPISm0z
dbpia2RUV+yBNg1tHw17zzcvAA==
-----END CERTIFICATE-----
`
