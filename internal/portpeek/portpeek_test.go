package portpeek_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/portpeek"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestMain(m *testing.M) { world.Main(m) }

func TestEachProtocolIsRecognized(t *testing.T) {
	t.Parallel()
	redisURL, _ := world.Redis(t)
	postgres := world.Host(t, world.Database(t, nil))
	authority := world.NewAuthority(t, "test")
	config := func() *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "localhost")}, ClientAuth: tls.RequireAnyClientCert}
	}
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	for want, address := range map[string]string{
		portpeek.Redis:    world.Host(t, redisURL),
		portpeek.Postgres: postgres,
		portpeek.TLS:      "127.0.0.1:" + world.TLSFront(t, postgres, false, config),
		portpeek.HTTP:     web.Listener.Addr().String(),
		portpeek.Unknown:  says(t, "SSH-2.0-OpenSSH_9.2\r\n"),
		"":                says(t, ""),
	} {
		if a := portpeek.Ask(t.Context(), "tcp", address); a.Protocol != want || want == portpeek.Unknown && !strings.Contains(a.String(), "SSH-2.0") {
			t.Errorf("%s: %v", want, a)
		}
	}
	if a := portpeek.Ask(t.Context(), "tcp", "127.0.0.1:1"); a.Protocol != "" {
		t.Errorf("a closed port: %v", a)
	}
}

// says returns the address of a listener that says the same to everybody, and nothing else.
func says(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(text))
			t.Cleanup(func() { _ = conn.Close() })
		}
	})
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}
