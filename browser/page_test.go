package browser_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A page is a tab of the browser.
type page struct {
	t       *testing.T
	ctx     context.Context
	mu      sync.Mutex
	errors  []string
	allowed []*regexp.Regexp
}

// What a fault that a test makes leaves in the browser's console.
var (
	lostSocket = regexp.MustCompile(`^error: WebSocket connection to '.*' failed`)
	lostServer = regexp.MustCompile(`^error: Failed to load resource: (net::ERR_|the server responded with a status of 503)`)
	refused    = regexp.MustCompile(`^error: Failed to load resource: the server responded with a status of 401`)
)

// open opens a tab. The test fails if the browser's console has an error at the end, such as a violation of the
// Content-Security-Policy, unless it is an allowed one.
func open(t *testing.T, url string, allowed ...*regexp.Regexp) *page {
	t.Helper()
	if world.browser == nil {
		t.Skip("there is no Chromium")
	}
	ctx, cancel := chromedp.NewContext(world.browser)
	p := &page{t: t, ctx: ctx, allowed: allowed}
	messages, read := chromedp.Console(ctx), make(chan struct{})
	go func() {
		defer close(read)
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning || m.IsException() {
				p.note(m.String())
			}
		}
	}()
	t.Cleanup(func() {
		if t.Failed() {
			p.keepScreenshot()
		}
		cancel()
		<-read
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, e := range p.errors {
			t.Errorf("in the browser's console: %s", e)
		}
	})
	p.do(chromedp.Navigate(url))
	return p
}

func (p *page) note(text string) {
	for _, a := range p.allowed {
		if a.MatchString(text) {
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors = append(p.errors, text)
}

func (p *page) keepScreenshot() {
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return
	}
	name := filepath.Join(os.TempDir(), "roomspa-"+strings.ReplaceAll(p.t.Name(), "/", "-")+".png")
	if os.WriteFile(name, png, 0o600) == nil {
		p.t.Logf("screenshot: %s", name)
	}
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	get(p, chromedp.Steps(steps...))
}

// get runs an action and returns its value.
func get[T any](p *page, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// eval returns the value of an expression.
func eval[T any](p *page, expression string) T {
	p.t.Helper()
	return get(p, chromedp.Evaluate[T](expression))
}

// script runs statements.
func (p *page) script(statements string) {
	p.t.Helper()
	eval[chromedp.Void](p, "(() => {"+statements+"})()")
}

// text returns the visible text of an element, or "".
func (p *page) text(selector string) string {
	p.t.Helper()
	return eval[string](p, "((e) => e?.checkVisibility() ? e.innerText : '')(document.querySelector("+strconv.Quote(selector)+"))")
}

// count returns how many elements there are.
func (p *page) count(selector string) int {
	p.t.Helper()
	return eval[int](p, "document.querySelectorAll("+strconv.Quote(selector)+").length")
}

func (p *page) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// fill replaces the text of a field, as a user types it.
func (p *page) fill(selector, text string) {
	p.t.Helper()
	p.script("document.querySelector(" + strconv.Quote(selector) + ").value = ''")
	p.do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// wait waits until an element shows a text.
func (p *page) wait(selector, text string) {
	p.t.Helper()
	eventually(p.t, selector+" shows "+strconv.Quote(text), func() (bool, any) {
		seen := p.text(selector)
		return strings.Contains(seen, text), seen
	})
}

// eventually asks again and again until the answer is yes.
func eventually(t *testing.T, what string, ask func() (yes bool, seen any)) {
	t.Helper()
	for began := time.Now(); ; {
		yes, seen := ask()
		if yes {
			return
		}
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %v; last seen: %v", what, limit, seen)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// size sets the size of the window, and whether the user prefers dark pages.
func (p *page) size(width, height int64, dark bool) {
	p.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.do(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// maxImage is the size that an image of the documents may have.
const maxImage = 200 << 10

// screenshot writes an image of the documents with -update.
func (p *page) screenshot(name string) {
	p.t.Helper()
	png := get(p, chromedp.CaptureScreenshot())
	if len(png) == 0 || len(png) > maxImage {
		p.t.Errorf("the screenshot %s has %d bytes, want at most %d", name, len(png), maxImage)
	}
	if *update {
		if err := os.WriteFile(filepath.Join("../docs", name), png, 0o644); err != nil { //nolint:gosec // a public document
			p.t.Fatal(err)
		}
	}
}
