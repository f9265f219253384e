package diagnose_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

// onTheWay is what is wrong before HTTP.
func onTheWay() []broken {
	// signed makes a row of a server whose certificate is somehow wrong.
	signed := func(edit func(*x509.Certificate)) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, well *world.Replica) diagnose.Options {
			root := newAuthority(t, "root", nil)
			return overTLS(t, serveTLS(t, well.Addr(), root.certify(t, edit)), root.trust())
		}
	}
	return []broken{
		{"the name does not resolve", "name_not_found", "", func(t *testing.T, _ *world.Replica) diagnose.Options { return chat(t, "no-such-host.invalid") }},
		{"the connection is refused", "connection_refused", "", func(t *testing.T, _ *world.Replica) diagnose.Options { return chat(t, closedPort(t)) }},
		{"packets are dropped", "connection_timeout", "", func(t *testing.T, _ *world.Replica) diagnose.Options {
			o := chat(t, fullBacklog(t))
			o.Timeout = time.Second
			return o
		}},
		{"the certificate has expired", "tls_expired", "", signed(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })},
		{"the certificate is of another name", "tls_wrong_name", "other.example", signed(func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} })},
		{"the authority is unknown", "tls_unknown_authority", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			return overTLS(t, serveTLS(t, well.Addr(), newAuthority(t, "somebody", nil).certify(t)), newAuthority(t, "root", nil).trust())
		}},
		{"the chain is incomplete", "tls_incomplete_chain", "an intermediate", func(t *testing.T, well *world.Replica) diagnose.Options {
			root := newAuthority(t, "root", nil)
			between := newAuthority(t, "an intermediate", root)
			at := answering(t, http.StatusOK, nil, string(between.cert.Raw))
			leaf := between.certify(t, func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://" + at + "/"} })
			return overTLS(t, serveTLS(t, well.Addr(), leaf), root.trust())
		}},
		{"TLS is spoken to a plain port", "tls_on_plain_port", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, well.Addr())
			o.URL = "wss" + strings.TrimPrefix(o.URL, "ws")
			return o
		}},
		{"plain HTTP is spoken to a TLS port", "plain_on_tls_port", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, "localhost:"+serveTLS(t, well.Addr(), newAuthority(t, "root", nil).certify(t)))
		}},
		{"only an old TLS is spoken", "tls_failed", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			root := newAuthority(t, "root", nil)
			return overTLS(t, serveTLS(t, well.Addr(), root.certify(t), func(c *tls.Config) {
				c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 //nolint:gosec // that is the fault
			}), root.trust())
		}},
		{"no protocol of ours is spoken over TLS", "http_2_only", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			root := newAuthority(t, "root", nil)
			return overTLS(t, serveTLS(t, well.Addr(), root.certify(t), func(c *tls.Config) { c.NextProtos = []string{"of-its-own"} }), root.trust())
		}},
		{"only HTTP/2 is spoken", "http_2_only", "", func(t *testing.T, _ *world.Replica) diagnose.Options {
			// The SETTINGS with which a server begins (RFC 9113 §3.4), whatever it is asked.
			return chat(t, relay(t, "", func(c, _ net.Conn) {
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64")
			}))
		}},
		{"only HTTP/2 is spoken by haproxy", "http_2_only", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, haproxy(t, "server a "+well.Addr(), "proto h2"))
		}},
		{"the connection is taken and nothing is answered", "no_answer", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			p := netfault.New(t, well.Addr())
			p.Stall()
			o := chat(t, p.Addr())
			o.Timeout = 5 * time.Second
			return o
		}},
		{"the clock of this machine is wrong", "clock_skew", "10m", func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, well.Addr())
			o.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) }
			return o
		}},
	}
}

func closedPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return l.Addr().String()
}

// answers is what else may be where a socket should be.
func answers() []broken {
	status := func(code int, header http.Header, body string) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, _ *world.Replica) diagnose.Options {
			return chat(t, answering(t, code, header, body))
		}
	}
	html := http.Header{"Content-Type": {"text/html"}, "Server": {"a web server"}}
	return []broken{
		{"a page stands in the place of the socket", "page_instead_of_socket", "text/html", status(200, html, "<html>Welcome</html>")},
		{"a redirect to another scheme", "redirect", "https://host.example/ws/test/", func(t *testing.T, _ *world.Replica) diagnose.Options {
			return chat(t, answering(t, 301, http.Header{"Location": {"https://host.example/ws/test/?token=hidden"}}, ""))
		}},
		{"a firewall refuses", "proxy_refused", "", status(403, html, "<html>Blocked</html>")},
		{"something else answers 400", "unexpected_answer", "HTTP 400", status(400, nil, "")},
		{"something else answers 500", "unexpected_answer", "HTTP 500", status(500, nil, "")},
		{"another WebSocket server answers", "not_roomspa", "", func(t *testing.T, _ *world.Replica) diagnose.Options {
			o := chat(t, otherServer(t))
			o.Timeout = 10 * time.Second // it never answers
			return o
		}},
	}
}

// proxies is what stands between a client and a replica that is well.
func proxies() []broken {
	through := func(edit func(*httputil.ProxyRequest)) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, reverse(t, always(well.Addr()), edit))
		}
	}
	return []broken{
		{"a proxy strips Upgrade", "upgrade_stripped", "Sec-WebSocket-Key", through(func(r *httputil.ProxyRequest) {
			r.Out.Header.Del("Upgrade")
			r.Out.Header.Del("Connection")
		})},
		{"nginx without the two headers", "upgrade_stripped", "nginx", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, nginx(t, "proxy_pass http://"+well.Addr()+"; proxy_http_version 1.1;"))
		}},
		{"nginx that speaks HTTP/1.0", "http_1_0_proxy", "nginx", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, nginx(t, "proxy_pass http://"+well.Addr()+`; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";`))
		}},
		{"a proxy speaks HTTP/1.0", "http_1_0_proxy", "", func(t *testing.T, well *world.Replica) diagnose.Options { return chat(t, http10(t, well.Addr())) }},
		{"a proxy changes the path", "wrong_path_prefix", "", through(func(r *httputil.ProxyRequest) { r.Out.URL.Path = "/api" + r.Out.URL.Path })},
		{"the URL has a prefix that the proxy does not know", "wrong_path_prefix", "the prefix /realtime", func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, well.Addr())
			o.URL = "ws://" + well.Addr() + "/realtime/ws/chat/1/2/"
			return o
		}},
		{"a proxy reaches no replica", "bad_gateway", "502", func(t *testing.T, _ *world.Replica) diagnose.Options {
			return chat(t, reverse(t, always(closedPort(t)), nil))
		}},
		{"nginx reaches no replica", "bad_gateway", "nginx", func(t *testing.T, _ *world.Replica) diagnose.Options {
			return chat(t, nginx(t, "proxy_pass http://"+closedPort(t)+";"))
		}},
		{"haproxy has no ready replica", "no_ready_replica", "503", func(t *testing.T, _ *world.Replica) diagnose.Options {
			return chat(t, haproxy(t, "server a "+closedPort(t)+" check inter 100ms"))
		}},
		{"Traefik has no ready replica", "no_ready_replica", "404", func(t *testing.T, _ *world.Replica) diagnose.Options {
			traefik := httptest.NewServer(http.NotFoundHandler()) // as it answers in a cluster
			t.Cleanup(traefik.Close)
			return chat(t, strings.TrimPrefix(traefik.URL, "http://"))
		}},
		{"Traefik has no ready replica, and no room is named", "no_ready_replica", "404", func(t *testing.T, _ *world.Replica) diagnose.Options {
			traefik := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(traefik.Close)
			return diagnose.Options{URL: traefik.URL + "/"}
		}},
		{"a proxy waits for a replica in vain", "gateway_timeout", "504", func(t *testing.T, well *world.Replica) diagnose.Options {
			p := netfault.New(t, well.Addr())
			p.Stall()
			return chat(t, serve(t, reverseProxy(always(p.Addr()), nil, time.Second)))
		}},
		{"a proxy cuts idle connections", "idle_timeout", "and one with traffic stayed open for ", func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, idleCutter(t, well.Addr(), 4*time.Second))
			o.Idle = 20 * time.Second
			return o
		}},
		{"haproxy cuts idle connections", "idle_timeout", "silent for about ", func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, haproxy(t, "server a "+well.Addr()))
			o.Idle = 20 * time.Second
			return o
		}},
		{"a proxy limits the size of frames", "frame_size_limited", "60 KiB", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, smallFrames(t, well.Addr()))
		}},
		{"the origin is refused", "origin_refused", "https://app.example", func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, well.Addr())
			o.Origin = "https://app.example"
			return o
		}},
	}
}
