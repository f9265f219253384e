package browser_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestTheMapShowsTiles starts one more replica, whose console has the tiles of a server of this test.
func TestTheMapShowsTiles(t *testing.T) {
	t.Parallel()
	if world.browser == nil {
		t.Skip("there is no Chromium")
	}
	server, asked := tileServer(t)
	p := open(t, serve(t, "ROOMSPA_CONSOLE_TILES="+server+"/{z}/{x}/{y}.png")+"/console/", lostServer)
	eventually(t, "tiles are shown", func() (bool, any) {
		n := p.count("#map img.leaflet-tile-loaded")
		return n > 0, n
	})
	if asked.Load() == 0 {
		t.Error("nobody asked the tile server")
	}
	if n := p.count("path.grid"); n != 0 {
		t.Errorf("beside the tiles the map has %d lines of a grid", n)
	}
	p.wait("#map .leaflet-control-attribution", "Map: 127.0.0.1")
	if elsewhere := eval[[]string](p, `performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith(location.origin) && !n.startsWith("`+server+`"))`); len(elsewhere) > 0 {
		t.Errorf("the page loads %q", elsewhere)
	}
}

// tileServer returns the URL of a server of map tiles, and how many it was asked for.
func tileServer(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	tile := image.NewGray(image.Rect(0, 0, 256, 256))
	tile.SetGray(128, 128, color.Gray{Y: 255})
	var b bytes.Buffer
	if err := png.Encode(&b, tile); err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int64)
	path := regexp.MustCompile(`^/14/\d+/\d+\.png$`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !path.MatchString(r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		asked.Add(1)
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(b.Bytes())
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// serve starts a replica of the deployment that no load balancer knows, and returns its URL.
func serve(t *testing.T, env ...string) string {
	t.Helper()
	address := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // local
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		return l.Addr().String()
	}
	public, ops := address(), address()
	cmd := exec.Command(world.program, "serve") //nolint:noctx // ended below
	cmd.Env = append(os.Environ(), "ROOMSPA_LISTEN="+public, "ROOMSPA_OPS_LISTEN="+ops, "ROOMSPA_REPLICA=tiles", "ROOMSPA_CONSOLE=true", "ROOMSPA_SHUTDOWN_WAIT=0s",
		"ROOMSPA_DATABASE_URL="+world.report.DatabaseURL, "ROOMSPA_REDIS_URL="+world.report.RedisURL, "ROOMSPA_JWT_SECRET="+world.report.JWTSecret)
	cmd.Env = append(cmd.Env, env...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("the replica says %s", text)
		}
		_ = log.Close()
	})
	eventually(t, "the replica is ready", func() (bool, any) {
		res, err := http.Get("http://" + ops + "/readyz") //nolint:noctx // has a limit
		if err != nil {
			return false, err
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK, res.Status
	})
	return "http://" + public
}
