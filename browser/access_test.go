package browser_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// token mints an access token.
func token(user int, lifetime time.Duration) string {
	now := time.Now().Unix()
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))
	body := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"token_type":"access","user_id":%d,"iat":%d,"exp":%d,"jti":"browser"}`, user, now-1, now+int64(lifetime.Seconds())))
	mac := hmac.New(sha256.New, []byte(world.report.JWTSecret))
	mac.Write([]byte(head + "." + body))
	return head + "." + body + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (p *page) paste(side, token string) {
	p.t.Helper()
	p.script("document.querySelector('" + side + ".entrance details').open = true")
	p.do(chromedp.SetValue(chromedp.CSS(side+"textarea[name=token]"), token))
	p.click(side + "form[aria-label^=Token] button")
}

func TestATokenExpires(t *testing.T) {
	t.Parallel()
	p := open(t, world.report.URL+"/console", refused)
	p.fill("[name=customer]", "5")
	p.fill("[name=therapist]", "6")
	p.paste(sideA, token(5, 2*time.Second))
	p.wait(sideA+".state", "live")
	p.wait(sideA+".state", "Paste a fresh one") // 5 s of leeway
	p.wait("#log", "Closed with 4001 token_expired: The token has expired.")
	p.wait("#timelines", "close 4001 token_expired")
	p.click(sideA + ".head button")

	p.paste(sideA, token(5, time.Hour)+"x")
	p.wait("#log", "token_invalid")
	eventually(t, "the story names the sub-cause", func() (bool, any) {
		p.openStories()
		seen := p.text("#timelines")
		return strings.Contains(seen, "bad_signature"), seen
	})
	p.paste(sideB, token(5, time.Hour))
	p.wait(sideB+".state", "live")
}

func TestWrongPasswordIsExplained(t *testing.T) {
	t.Parallel()
	p := open(t, world.report.URL+"/console/", refused, lostServer)
	p.fill(sideA+"[name=identifier]", world.report.Users[0].Email)
	p.fill(sideA+"[name=password]", "wrong"+kb.Enter)
	p.wait(sideA+".entrance .fault", "Sign-in failed: bad_credentials")
}

// TestThePageIsUsableByKeyboardAndOnAPhone uses no pointer.
func TestThePageIsUsableByKeyboardAndOnAPhone(t *testing.T) {
	t.Parallel()
	p := open(t, world.report.URL+"/console/", lostServer)
	p.size(360, 740, true)
	for range 40 {
		p.do(chromedp.KeyEvent(kb.Tab))
		if eval[string](p, `document.activeElement.name ?? ""`) == "identifier" {
			break
		}
	}
	p.do(chromedp.KeyEvent(world.report.Users[6].Email), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(world.report.Users[6].Password), chromedp.KeyEvent(kb.Enter))
	p.wait(sideA+"h3", "customer 7")
	p.wait("#room-hint", "Give the therapist's id")
	p.do(chromedp.Focus(chromedp.CSS("[name=therapist]")), chromedp.KeyEvent("8"+kb.Enter))
	p.wait(sideA+".state", "live")
	if outline := eval[string](p, `getComputedStyle(document.activeElement).outlineStyle`); outline == "none" {
		t.Error("the focus is not visible")
	}
	p.wide()
	if c := eval[string](p, `getComputedStyle(document.body).backgroundColor`); c != "rgb(18, 23, 21)" {
		t.Errorf("in the dark the background is %s", c)
	}
	p.labels()
}

// openStories shows the stories of all sockets that the page has now.
func (p *page) openStories() {
	p.t.Helper()
	p.script(`for (const d of document.querySelectorAll("#timelines details")) d.open = true`)
}

// wide fails the test if the page is wider than the window.
func (p *page) wide() {
	p.t.Helper()
	if wide := eval[[]string](p, `document.documentElement.scrollWidth <= innerWidth ? [] :
		[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest("#map, .wide, .scroll, .log")).map((e) => e.tagName + "." + e.className).slice(0, 5)`); len(wide) > 0 {
		p.t.Errorf("wider than a phone: %q", wide)
	}
}

// labels fails the test if a field or a button has no name.
func (p *page) labels() {
	p.t.Helper()
	if bad := eval[[]string](p, `[...document.querySelectorAll("input, select, textarea, button")].filter((e) => !e.labels?.length && !e.getAttribute("aria-label") && !e.textContent.trim()).map((e) => e.outerHTML)`); len(bad) > 0 {
		p.t.Errorf("without a label: %s", strings.Join(bad, "\n"))
	}
}
