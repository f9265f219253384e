// Package console serves the web console below /console/: plain browser modules that are embedded
// in the binary. The page of the public listener is a client like any other. The page of the ops
// listener shows the fleet, and asks for the token that /debug/ requires.
//
// The pages load nothing from elsewhere and contain no secret.
package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"

	roomspajs "github.com/roomspa/roomspa/clients/js"
	"github.com/roomspa/roomspa/internal/problem"
)

//go:embed static
var static embed.FS

// A Page is the page at /console/.
type Page string

// The pages.
const (
	Client Page = "client.html" // of the public listener
	Fleet  Page = "fleet.html"  // of the ops listener
)

// Options configure a console.
type Options struct {
	Page    Page
	Version string // of the binary
	Tiles   string // URL template of map tiles, see [CheckTiles]; empty means a grid
}

// A Console serves one page and what the pages need. It is safe for concurrent use.
type Console struct {
	files map[string]*file // by path below /console/
	tiles string           // origin
}

type file struct {
	body, etag, kind string
	compressed       []byte // by gzip
}

// New returns a console. The tiles must have passed [CheckTiles].
func New(o Options) *Console {
	c := &Console{files: map[string]*file{}}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := static.ReadFile(name)
		c.add(strings.TrimPrefix(name, "static/"), string(body))
		return err
	})
	if err != nil {
		panic(err) // the files are in the binary
	}
	c.files[""] = c.files[string(o.Page)]
	delete(c.files, string(Client))
	delete(c.files, string(Fleet))
	c.add("roomspa.js", string(roomspajs.Source))
	c.add("config.js", "// Written by the server.\nexport const config = "+encode(map[string]string{"version": o.Version, "tiles": o.Tiles})+";\n"+
		"export const words = "+encode(newWords())+";\n")
	if u, err := url.Parse(o.Tiles); err == nil && o.Tiles != "" {
		c.tiles = u.Scheme + "://" + u.Host
	}
	return c
}

func (c *Console) add(name, body string) {
	sum := sha256.Sum256([]byte(body))
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // not as the system's table has it
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".html":
		kind = "text/html; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	case "":
		kind = "text/plain; charset=utf-8"
	}
	c.files[name] = &file{body, `W/"` + hex.EncodeToString(sum[:12]) + `"`, kind, compress(body)}
}

func compress(body string) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	_, _ = w.Write([]byte(body))                          // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// encode returns v as a JavaScript expression.
func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b) // it escapes <, >, &, U+2028 and U+2029
	if err := e.Encode(v); err != nil {
		panic(err) // the tables can be encoded
	}
	return strings.TrimSpace(b.String())
}

// find returns the file at a raw path, or nil.
func (c *Console) find(path string) *file {
	if path == "/console" {
		return c.files[""]
	}
	if name, ok := strings.CutPrefix(path, "/console/"); ok {
		return c.files[name]
	}
	return nil
}

// Serves reports whether there is something at a raw path.
func (c *Console) Serves(path string) bool { return c.find(path) != nil }

// ServeHTTP serves a file. It never redirects.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := c.find(r.URL.EscapedPath())
	if f == nil {
		problem.Problem{Status: http.StatusNotFound, Code: "no_such_path", Detail: "The path does not exist."}.Write(w)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		problem.Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "Send a GET."}.Write(w)
		return
	}
	h, body := w.Header(), []byte(f.body)
	whole := r.URL.EscapedPath() != "/console"
	if accept := r.Header.Get("Accept-Encoding"); !whole { // the links are relative to /console/
		body = []byte(strings.Replace(f.body, "<head>", `<head><base href="console/">`, 1))
	} else if strings.Contains(accept, "gzip") && !strings.Contains(accept, "gzip;q=0") {
		h.Set("Content-Encoding", "gzip")
		body = f.compressed
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", f.kind)
	h.Set("Content-Security-Policy", c.policy(r.Host))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // a new release is used at once
	h.Set("ETag", f.etag)
	if strings.Contains(r.Header.Get("If-None-Match"), f.etag) && whole {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method == http.MethodGet {
		_ = problem.Send(w, body) // fails only if the reader has gone
	}
}

// hostForm is what a Host header may look like to be repeated.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9.:\[\]_-]+$`)

// policy returns the Content-Security-Policy. Older browsers do not count WebSockets of the own
// host as 'self'.
func (c *Console) policy(host string) string {
	connect, images := "'self'", "'self' data:"
	if hostForm.MatchString(host) {
		connect += " ws://" + host + " wss://" + host
	}
	if c.tiles != "" {
		images += " " + c.tiles
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; connect-src " + connect + "; img-src " + images +
		"; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
}

var tilesForm = regexp.MustCompile(`^https?://[A-Za-z0-9.:-]+/[A-Za-z0-9._~!$&()*+=:@/{}?%-]*$`)

// CheckTiles returns an error unless a URL template names the tiles of a map, as in
// https://tile.example.com/{z}/{x}/{y}.png.
func CheckTiles(template string) error {
	for _, part := range []string{"{x}", "{y}", "{z}"} {
		if !strings.Contains(template, part) || !tilesForm.MatchString(template) {
			return fmt.Errorf("must be a URL with {z}, {x} and {y}, as in https://tile.example.com/{z}/{x}/{y}.png")
		}
	}
	return nil
}
