package diagnose_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

// changingAnswers is a reverse proxy that changes the answers.
func changingAnswers(t testing.TB, target string, edit func(http.Header)) string {
	t.Helper()
	p := reverseProxy(always(target), nil, world.Limit).(*httputil.ReverseProxy) //nolint:forcetypeassert,errcheck // it is one
	p.ModifyResponse = func(r *http.Response) error { edit(r.Header); return nil }
	return serve(t, p)
}

// guarded is a reverse proxy that answers itself what refuse takes.
func guarded(t testing.TB, target string, refuse func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	p := reverseProxy(always(target), nil, world.Limit)
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "a proxy of the tests")
		if !refuse(w, r) {
			w.Header().Del("Server")
			p.ServeHTTP(w, r)
		}
	}))
}

func refusing(status int, when func(*http.Request) bool, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !when(r) {
			return false
		}
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		return true
	}
}

// cachingAPI is a reverse proxy that keeps good answers to GET of the API, whatever they say about it.
func cachingAPI(t testing.TB, target string, key func(*http.Request) string) string {
	t.Helper()
	var kept sync.Map
	p := reverseProxy(always(target), nil, world.Limit)
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/api/") {
			p.ServeHTTP(w, r)
			return
		}
		hit, found := kept.Load(key(r))
		if !found {
			answer := httptest.NewRecorder()
			p.ServeHTTP(answer, r)
			if hit = answer; answer.Code == http.StatusOK {
				kept.Store(key(r), answer)
			}
		}
		answer := hit.(*httptest.ResponseRecorder) //nolint:forcetypeassert,errcheck // it is one
		maps.Copy(w.Header(), answer.Header())
		w.Header().Set("X-Cache", map[bool]string{true: "HIT", false: "MISS"}[found])
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
}

func everything(*http.Request) bool { return true }

func isUpgrade(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// kinds is what each kind of client meets, and what only shows in comparison with other requests.
func kinds() []broken {
	edited := func(edit func(*httputil.ProxyRequest)) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, reverse(t, always(well.Addr()), edit))
		}
	}
	guard := func(refuse func(http.ResponseWriter, *http.Request) bool) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, guarded(t, well.Addr(), refuse))
		}
	}
	return []broken{
		{"a proxy drops the subprotocol of the answer", "subprotocol_dropped", "browsers close such a socket", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, changingAnswers(t, well.Addr(), func(h http.Header) { h.Del("Sec-Websocket-Protocol") }))
		}},
		{"a proxy adds an extension", "extension_added", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, changingAnswers(t, well.Addr(), func(h http.Header) { h.Set("Sec-Websocket-Extensions", "permessage-deflate") }))
		}},
		{"a proxy drops Authorization", "authorization_dropped", "/api/conversations/", edited(func(r *httputil.ProxyRequest) { r.Out.Header.Del("Authorization") })},
		{"a proxy puts its own Authorization", "authorization_dropped", "", edited(func(r *httputil.ProxyRequest) { r.Out.Header.Set("Authorization", "Basic eDp5") })},
		{"a proxy caches answers of the API", "api_cached", "without a token got the conversations of somebody", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, cachingAPI(t, well.Addr(), func(r *http.Request) string { return r.URL.Path }))
		}},
		{"a proxy caches answers of the API by token", "api_cached", "had the same Roomspa-Ref", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, cachingAPI(t, well.Addr(), func(r *http.Request) string { return r.URL.Path + r.Header.Get("Authorization") }))
		}},
		{"a proxy rewrites Host", "host_rewritten", "backend.internal", edited(func(r *httputil.ProxyRequest) { r.Out.Host = "backend.internal" })},
		{"a proxy strips the query", "query_stripped", "", edited(func(r *httputil.ProxyRequest) { r.Out.URL.RawQuery = "" })},
		{"a proxy strips tickets and tokens from the query", "query_stripped", "ticket", edited(func(r *httputil.ProxyRequest) {
			q := r.Out.URL.Query()
			q.Del("ticket")
			q.Del("token")
			r.Out.URL.RawQuery = q.Encode()
		})},
		{"a proxy asks for a password", "proxy_login", `Basic realm="staff"`, guard(refusing(401, everything, "WWW-Authenticate", `Basic realm="staff"`))},
		{"a proxy limits connections", "proxy_limits_connections", "1 let in", func(t *testing.T, well *world.Replica) diagnose.Options {
			var open atomic.Int32
			p := reverseProxy(always(well.Addr()), nil, world.Limit)
			return looking(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer open.Add(-1)
				if open.Add(1) > 1 && isUpgrade(r) {
					w.WriteHeader(503)
					return
				}
				p.ServeHTTP(w, r)
			})), well)
		}},
		{"a proxy limits requests, with 429", "proxy_limits_requests", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			var n atomic.Int32
			return chat(t, guarded(t, well.Addr(), refusing(429, func(*http.Request) bool { return n.Add(1) > 6 })))
		}},
		{"a proxy limits requests, with 503", "proxy_limits_requests", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			var n atomic.Int32
			return looking(t, guarded(t, well.Addr(), refusing(503, func(*http.Request) bool { return n.Add(1) > 1 })), well)
		}},
		{"a proxy routes only /ws/test/", "path_not_routed", "/ws/chat/1/2/", guard(refusing(404, func(r *http.Request) bool { return !strings.HasPrefix(r.URL.Path, "/ws/test/") }))},
		{"a proxy does not route the API", "path_not_routed", "/api/ticket/", guard(refusing(404, func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }))},
		{"a proxy routes all but /ws/test/", "path_not_routed", "/ws/test/", guard(refusing(404, func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/ws/test/") }))},
		{"a proxy refuses WebSockets", "proxy_refuses_upgrade", "", guard(refusing(403, isUpgrade))},
		{"a network wants a sign-in, by a redirect", "captive_portal", "http://portal.test/login", guard(refusing(302, everything, "Location", "http://portal.test/login?next=x"))},
		{"a network wants a sign-in, by 511", "captive_portal", "", guard(refusing(511, everything))},
		{"the default server of a proxy answers", "no_route_for_host", "", guard(refusing(404, everything))},
		{"a proxy limits the head of requests", "proxy_limits_size", "431", guard(refusing(431, func(r *http.Request) bool { return len(r.Header.Get("Sec-Websocket-Protocol")) > 100 }))},
		{"a proxy refuses preflights", "preflight_refused", "", func(t *testing.T, _ *world.Replica) diagnose.Options {
			a := world.New(t).Ready(t, "open", func(o *app.Options) { o.Origins = []string{"https://app.example"} })
			o := chat(t, guarded(t, a.Addr(), refusing(405, func(r *http.Request) bool { return r.Method == http.MethodOptions })))
			o.Origin = "https://app.example"
			return o
		}},
		{"a gateway signs anew", "tls_unknown_authority", "exempt the host", func(t *testing.T, well *world.Replica) diagnose.Options {
			return overTLS(t, serveTLS(t, well.Addr(), newAuthority(t, "Contoso Web Gateway CA", nil).certify(t)), newAuthority(t, "root", nil).trust())
		}},
		{"a client certificate is wanted", "client_certificate_wanted", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			root := newAuthority(t, "root", nil)
			return overTLS(t, serveTLS(t, well.Addr(), root.certify(t), func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }), root.trust())
		}},
		{"every connection is cut at one age", "lifetime_limit", "a busy socket", func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, relay(t, well.Addr(), func(client, server net.Conn) {
				defer time.AfterFunc(4*time.Second, func() { _ = client.Close() }).Stop()
				both(client, server)
			}))
			o.Idle = 20 * time.Second
			return o
		}},
		{"large packets are lost", "mtu_too_small", "", func(t *testing.T, well *world.Replica) diagnose.Options {
			o := chat(t, relay(t, well.Addr(), func(client, server net.Conn) {
				both(losing{client}, server)
			}))
			o.Timeout = 3 * time.Second
			return o
		}},
		{"one of two replicas hangs", "replica_hung", "of 10", func(t *testing.T, well *world.Replica) diagnose.Options {
			p := netfault.New(t, well.Addr())
			p.Stall()
			o := looking(t, relayTo(t, roundRobin(well.Addr(), p.Addr())), well)
			o.Timeout, o.Ops = 3*time.Second, append(o.Ops, "http://"+closedPort(t))
			return o
		}},
		{"one of two backends is another program", "other_backend", "of 10", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, reverse(t, roundRobin(well.Addr(), answering(t, 404, nil, "not here")), nil))
		}},
		{"one of two backends is gone", "bad_gateway", "of 10", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, reverse(t, roundRobin(well.Addr(), closedPort(t)), nil))
		}},
		{"a proxy says 503 although a replica is ready", "proxy_sees_no_replica", "is ready", func(t *testing.T, well *world.Replica) diagnose.Options {
			return looking(t, answering(t, 503, nil, ""), well)
		}},
		{"the port speaks Redis", "wrong_protocol_on_port", "redis", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, world.Host(t, well.World.RedisURL))
		}},
		{"the port speaks Postgres", "wrong_protocol_on_port", "postgres", func(t *testing.T, well *world.Replica) diagnose.Options {
			return chat(t, world.Host(t, well.World.DatabaseURL))
		}},
		{"the port greets first", "wrong_protocol_on_port", "ssh", func(t *testing.T, _ *world.Replica) diagnose.Options {
			return chat(t, relay(t, "", func(c, _ net.Conn) {
				_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n")
				_, _ = c.Read(make([]byte, 4096))
			}))
		}},
		{"the URL names the ops listener", "ops_port_in_url", "", func(t *testing.T, well *world.Replica) diagnose.Options { return chat(t, well.OpsAddr()) }},
		{"Postgres is slow", "postgres_slow", "postgres", func(t *testing.T, _ *world.Replica) diagnose.Options {
			w := world.New(t).BehindProxies(t)
			a := w.Ready(t, "a")
			w.ToPostgres.Delay(150 * time.Millisecond) // in each direction
			return looking(t, a.Addr(), a)
		}},
	}
}

// losing is a connection that loses what is larger than a packet, and all that follows.
type losing struct{ net.Conn }

func (c losing) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 1400 {
		_, err = io.Copy(io.Discard, c.Conn)
		return 0, fmt.Errorf("lost: %w", err)
	}
	return n, err
}

// relayTo passes connections on to what pick names.
func relayTo(t testing.TB, pick func() string) string {
	t.Helper()
	return relay(t, "", func(client, _ net.Conn) {
		server, err := net.Dial("tcp", pick())
		if err != nil {
			return
		}
		defer server.Close()
		both(client, server)
	})
}
