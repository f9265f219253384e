package diagnose_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// serve answers on a port of its own until the test has ended, and returns the address.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// answering is something that answers everything in one way.
func answering(t testing.TB, status int, header http.Header, body string) string {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
}

// reverse is a reverse proxy to what pick names at each request.
func reverse(t testing.TB, pick func() string, edit func(*httputil.ProxyRequest)) string {
	t.Helper()
	return serve(t, reverseProxy(pick, edit, world.Limit))
}

func reverseProxy(pick func() string, edit func(*httputil.ProxyRequest), wait time.Duration) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: pick()})
			r.Out.Host = r.In.Host
			if edit != nil {
				edit(r)
			}
		},
		Transport: &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: wait},
		ErrorLog:  log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Server", "a proxy of the tests")
			var network net.Error
			if errors.As(err, &network) && network.Timeout() {
				w.WriteHeader(http.StatusGatewayTimeout)
				return
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}

func always(address string) func() string { return func() string { return address } }

// roundRobin gives each connection to the next one.
func roundRobin(addresses ...string) func() string {
	var mu sync.Mutex
	n := 0
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		n++
		return addresses[n%len(addresses)]
	}
}

// relay takes connections and hands each one, with a connection to the target, to f.
func relay(t testing.TB, target string, f func(client, server net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer client.Close()
				var server net.Conn
				if target != "" {
					if server, err = net.Dial("tcp", target); err != nil {
						return
					}
					defer server.Close()
					defer context.AfterFunc(ctx, func() { _ = server.Close() })()
				}
				defer context.AfterFunc(ctx, func() { _ = client.Close() })()
				f(client, server)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		cancel()
		wg.Wait()
	})
	return l.Addr().String()
}

func both(a, b net.Conn) {
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(a, b)
		_ = a.Close()
		close(done)
	}()
	_, _ = io.Copy(b, a)
	_ = b.Close()
	<-done
}

// http10 is a proxy that speaks HTTP/1.0 to the server, and leaves the headers as they are.
func http10(t testing.TB, target string) string {
	t.Helper()
	return relay(t, target, func(client, server net.Conn) {
		r := bufio.NewReader(client)
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		fmt.Fprintf(server, "%s %s HTTP/1.0\r\nHost: %s\r\n", request.Method, request.RequestURI, request.Host)
		_ = request.Header.Write(server)
		_, _ = io.WriteString(server, "\r\n")
		both(client, server)
	})
}

// idleCutter cuts connections on which nothing has passed for a while.
func idleCutter(t testing.TB, target string, after time.Duration) string {
	t.Helper()
	return relay(t, target, func(client, server net.Conn) {
		timer := time.AfterFunc(after, func() {
			_ = client.Close()
			_ = server.Close()
		})
		defer timer.Stop()
		both(touching{client, timer, after}, touching{server, timer, after})
	})
}

type touching struct {
	net.Conn
	timer *time.Timer
	after time.Duration
}

func (c touching) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.timer.Reset(c.after)
	}
	return n, err
}

// smallFrames is a proxy that ends WebSockets itself, and takes no message above 32 KiB:
// the default of its library.
func smallFrames(t testing.TB, target string) string {
	t.Helper()
	plain := reverseProxy(always(target), nil, world.Limit)
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			plain.ServeHTTP(w, r)
			return
		}
		o := &websocket.DialOptions{Host: r.Host, HTTPHeader: http.Header{"Authorization": r.Header["Authorization"]}}
		if protocols := r.Header.Get("Sec-Websocket-Protocol"); protocols != "" {
			o.Subprotocols = strings.Split(protocols, ", ")
		}
		server, response, err := websocket.Dial(r.Context(), "ws://"+target+r.URL.RequestURI(), o)
		if err != nil {
			if response != nil {
				w.WriteHeader(response.StatusCode)
			}
			return
		}
		server.SetReadLimit(-1)
		defer server.CloseNow() //nolint:errcheck // it is over
		client, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"bearer"}})
		if err != nil {
			return
		}
		defer client.CloseNow() //nolint:errcheck // it is over
		ctx, cancel := context.WithCancel(r.Context())
		var wg sync.WaitGroup
		pass := func(from, to *websocket.Conn) {
			defer cancel()
			for {
				kind, data, err := from.Read(ctx)
				if err != nil || to.Write(ctx, kind, data) != nil {
					return
				}
			}
		}
		wg.Go(func() { pass(server, client) })
		pass(client, server)
		wg.Wait()
	}))
}

// otherServer is a WebSocket server that is not ours: it only listens.
func otherServer(t testing.TB) string {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow() //nolint:errcheck // it is over
		_, _, _ = c.Read(r.Context())
	}))
}

// nginx runs Debian's, with what stands in a location.
func nginx(t testing.TB, location string) string {
	t.Helper()
	return program(t, "nginx", "nginx-light", func(dir string, port int) (string, []string) {
		return fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server { listen 127.0.0.1:%[2]d; location / { %[3]s } }
}`, dir, port, location), []string{"-c", filepath.Join(dir, "conf"), "-p", dir, "-e", "stderr"}
	})
}

// haproxy runs Debian's in front of a backend.
func haproxy(t testing.TB, backend string, bind ...string) string {
	t.Helper()
	return program(t, "haproxy", "haproxy", func(dir string, port int) (string, []string) {
		return fmt.Sprintf(`defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
  timeout tunnel 5s
frontend in
  bind 127.0.0.1:%d %s
  default_backend out
backend out
  %s
`, port, strings.Join(bind, " "), backend), []string{"-db", "-f", filepath.Join(dir, "conf")}
	})
}

func program(t testing.TB, name, debian string, configure func(dir string, port int) (config string, args []string)) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Skip(name + " is not installed (Debian: apt-get install " + debian + ")")
		}
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), world.Limit)
	defer cancel()
	p, err := sandbox.StartProgram(ctx, sandbox.ProgramOptions{
		Name: name, Dir: dir, Log: t.Output(),
		Command: func(port, _ int) *exec.Cmd {
			config, args := configure(dir, port)
			if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(config), 0o600); err != nil {
				t.Error(err)
			}
			return exec.Command(path, args...) //nolint:gosec // a program of the tests
		},
		Answers: func(ctx context.Context, port, _ int) error {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				_ = c.Close()
			}
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	return p.Addr()
}
