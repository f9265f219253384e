package console_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/console"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func ask(h http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, h http.Handler, target string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s is %d", target, w.Code)
	}
	return w.Body.String()
}

// TestBothListenersServeAConsoleIfAsked also holds the rule that nothing is ever redirected.
func TestBothListenersServeAConsoleIfAsked(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	with := w.Ready(t, "with", func(o *app.Options) { o.Console, o.OpsToken = true, "a token of the operators" })
	without := w.Ready(t, "without")
	for path, want := range map[string]int{"/console": 200, "/console/": 200, "/console/roomspa.js": 200, "/console/config.js": 200, "/console/x": 404, "/console/../login": 404, "/console/client.html": 404, "/console//": 404} {
		for address, title := range map[string]string{"http://" + with.Addr(): "roomspa console", with.Ops(""): "roomspa fleet"} {
			status, header, text := world.Get(t, address+path)
			if status != want || header.Get("Location") != "" {
				t.Errorf("%s%s is %d, want %d", address, path, status, want)
			}
			if page := strings.TrimSuffix(path, "/") == "/console"; page && !strings.Contains(string(text), "<title>"+title) {
				t.Errorf("%s%s is not the page %s", address, path, title)
			}
		}
		for _, address := range []string{"http://" + without.Addr(), without.Ops("")} {
			if status, _, _ := world.Get(t, address+path); status != http.StatusNotFound {
				t.Errorf("without --console %s%s is %d", address, path, status)
			}
		}
	}
	if status, _, _ := world.Get(t, with.Ops("/debug/closes")); status != http.StatusUnauthorized {
		t.Errorf("with the console /debug/ is %d without a token", status)
	}
}

func TestTheAnswersAreSafe(t *testing.T) {
	t.Parallel()
	c := console.New(console.Options{Page: console.Client, Version: `1.0 </script><script>"`, Tiles: "https://tile.example.com/{z}/{x}/{y}.png"})
	res := ask(c, http.MethodGet, "http://chat.example.com/console/")
	want := "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws://chat.example.com wss://chat.example.com; " +
		"img-src 'self' data: https://tile.example.com; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
	if got := res.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("the policy is %q, want %q", got, want)
	}
	if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers: %v", res.Header)
	}
	r := httptest.NewRequest(http.MethodGet, "/console/", nil)
	r.Host = "x; script-src *"
	w := httptest.NewRecorder()
	if c.ServeHTTP(w, r); strings.Contains(w.Header().Get("Content-Security-Policy"), "*") {
		t.Errorf("the Host has come into the policy: %s", w.Header().Get("Content-Security-Policy"))
	}
	if config := body(t, c, "/console/config.js"); strings.Contains(config, "</script>") {
		t.Error("the version is not escaped")
	}
	etag := ask(c, http.MethodGet, "/console/client.js").Header.Get("ETag")
	if res := ask(c, http.MethodGet, "/console/client.js", "If-None-Match", etag); etag == "" || res.StatusCode != http.StatusNotModified {
		t.Errorf("the same file again is %d (ETag %s)", res.StatusCode, etag)
	}
	if res := ask(c, http.MethodPost, "/console/"); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("a POST is %d", res.StatusCode)
	}
}

func TestFilesAreSentCompressed(t *testing.T) {
	t.Parallel()
	c := console.New(console.Options{Page: console.Client})
	total := 0
	for _, name := range []string{"", "client.js", "roomspa.js", "console.css", "leaflet/leaflet.js"} {
		plain := body(t, c, "/console/"+name)
		res := ask(c, http.MethodGet, "/console/"+name, "Accept-Encoding", "gzip, deflate, br")
		sent, err := io.ReadAll(res.Body)
		if err != nil || res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Vary") != "Accept-Encoding" || res.Header.Get("Content-Length") != strconv.Itoa(len(sent)) {
			t.Errorf("%s: %v, headers %v", name, err, res.Header)
			continue
		}
		total += len(sent)
		r, err := gzip.NewReader(bytes.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(r); err != nil || string(text) != plain {
			t.Errorf("%s differs when it is compressed (%v)", name, err)
		}
	}
	if total > 80<<10 {
		t.Errorf("these files have %d bytes compressed", total)
	}
	if res := ask(c, http.MethodGet, "/console/client.js", "Accept-Encoding", "gzip;q=0"); res.Header.Get("Content-Encoding") != "" {
		t.Error("a client that refuses gzip gets it")
	}
	page := ask(c, http.MethodGet, "/console", "Accept-Encoding", "gzip")
	if text, err := io.ReadAll(page.Body); err != nil || !strings.Contains(string(text), `<base href="console/">`) || page.Header.Get("Content-Encoding") != "" {
		t.Errorf("/console: %v, headers %v", err, page.Header)
	}
}

func TestTilesAreAURLTemplate(t *testing.T) {
	t.Parallel()
	for template, ok := range map[string]bool{
		"https://tile.openstreetmap.org/{z}/{x}/{y}.png": true, "http://localhost:8080/{z}/{x}/{y}?key=a": true,
		"": false, "https://tile.example.com/": false, "javascript:{x}{y}{z}": false, "https://a b/{z}/{x}/{y}": false, "https://a;script-src *//{z}/{x}/{y}": false,
		"https://user@host/{z}/{x}/{y}": false, "https://a/{z}/{x}/{y}\n": false, "/{z}/{x}/{y}": false,
	} {
		if err := console.CheckTiles(template); (err == nil) != ok {
			t.Errorf("%q: %v", template, err)
		}
	}
}

// TestThePagesHaveTheWordsOfTheTables looks for each close and each cause.
func TestThePagesHaveTheWordsOfTheTables(t *testing.T) {
	t.Parallel()
	config := body(t, console.New(console.Options{Page: console.Client}), "/console/config.js")
	for _, r := range frame.Reasons {
		if !strings.Contains(config, `"reason":"`+r.Word+`"`) {
			t.Errorf("the page does not know the close %d %s", r.Code, r.Word)
		}
	}
	for e := range cause.All() {
		if !strings.Contains(config, `"`+e.Cause+`":{"means":`) {
			t.Errorf("the page does not know the cause %s", e.Cause)
		}
	}
}

// TestEveryFrameHasWords compares the page with the AsyncAPI document.
func TestEveryFrameHasWords(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	words := body(t, console.New(console.Options{Page: console.Client}), "/console/words.js")
	types := regexp.MustCompile(`const: ([a-z_]{4,})\n`).FindAllStringSubmatch(string(document), -1)
	if len(types) < 15 {
		t.Fatalf("the document has the types %q", types)
	}
	for _, m := range types {
		if m[1] != "true" && !strings.Contains(words, "\n  "+m[1]+": (") {
			t.Errorf("static/words.js has no words for a frame %s", m[1])
		}
	}
}

// TestNothingFromTheNetworkBecomesHTML holds the sources to what the policy forbids, and to what it cannot see.
func TestNothingFromTheNetworkBecomesHTML(t *testing.T) {
	t.Parallel()
	forbidden := map[string]*regexp.Regexp{
		".js":   regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setHTML|createContextualFragment|DOMParser|from "(https?:)?//`),
		".html": regexp.MustCompile(`<style|<script>|\sstyle=|\son[a-z]+=|(src|href)="(https?:)?//[^l]`),
		".css":  regexp.MustCompile(`@import|url\(`),
	}
	files := os.DirFS("static")
	size := 0
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(name, "leaflet/") {
			return err
		}
		text, err := fs.ReadFile(files, name)
		size += len(text)
		if re := forbidden[name[strings.LastIndex(name, "."):]]; re != nil {
			for _, found := range re.FindAllString(string(text), -1) {
				t.Errorf("%s has %q", name, found)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const limit = 96 << 10
	if size > limit {
		t.Errorf("the pages have %d bytes, more than %d", size, limit)
	}
}
