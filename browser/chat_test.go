package browser_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

const (
	sideA, sideB = "#side-A ", "#side-B "
	lastMessage  = ".message:last-child "
)

// room opens the console, with a token on each side: of user customer, and of the next one.
func room(t *testing.T, customer int) *page {
	t.Helper()
	p := open(t, world.report.URL+"/console/", lostSocket, lostServer)
	p.fill("[name=customer]", strconv.Itoa(customer))
	p.fill("[name=therapist]", strconv.Itoa(customer+1))
	p.paste(sideA, world.report.Users[customer-1].AccessToken)
	p.paste(sideB, world.report.Users[customer].AccessToken)
	p.wait(sideA+".state", "live")
	p.wait(sideB+".state", "live")
	return p
}

func (p *page) signInBoth() {
	p.t.Helper()
	p.wait("#demo", "Sign in")
	p.click("#demo")
	p.wait(sideA+".state", "live")
	p.wait(sideB+".state", "live")
}

// say sends a message from a side.
func (p *page) say(side, text string) {
	p.t.Helper()
	p.fill(side+".composer input", text+kb.Enter)
}

func TestTwoSidesChat(t *testing.T) {
	t.Parallel()
	p := open(t, world.report.ConsoleURL, lostServer) // a busy machine refuses sign-ins for a moment
	p.signInBoth()
	p.wait(sideA+"h3", "customer 1")
	p.wait(sideB+"h3", "therapist 2")

	p.fill(sideA+".composer input", "Hello, ")
	p.wait(sideB+".typing", "The other side types…")
	p.say(sideA, "Are you on your way?")
	p.wait(sideB+lastMessage+".text", "Are you on your way?")
	p.wait(sideB+".typing", "")
	p.wait(sideB+".badge", "1 unread")
	p.wait(sideA+lastMessage+".tick", "delivered")

	p.click(sideB + ".composer input")
	p.wait(sideA+lastMessage+".tick", "read")
	if badge := p.text(sideB + ".badge"); badge != "" {
		t.Errorf("after reading, the badge says %q", badge)
	}
	p.wait(sideA+".peer", "online")

	p.click(sideB + ".extras summary")
	p.fill(sideB+"[name=metadata]", `{"eta": 10}`)
	p.script(`document.querySelector("#side-B [name=type]").value = "location"`)
	p.say(sideB, "Ten minutes.")
	p.wait(sideA+lastMessage+".text", "Ten minutes.")
	p.wait(sideA+lastMessage+".type", "location")
	p.click(sideA + lastMessage + "summary")
	p.wait(sideA+lastMessage+"pre", `"eta": 10`)
	p.click(sideA + ".composer input")
	p.say(sideA, "Fine, see you.")
	p.wait(sideB+lastMessage+".text", "Fine, see you.")
	p.positions()
	p.frames()
	p.addresses()
	p.script(`for (const d of document.querySelectorAll(".side details")) d.open = false`)
	p.wait(sideB+lastMessage+".text", "Fine, see you.")
	p.size(1280, 1120, false)
	p.script(`window.scrollTo(0, 0)`)
	p.screenshot("console.png")
}

// addresses fails the test if the page or something that it loads comes from another server, or has a token in its address.
func (p *page) addresses() {
	p.t.Helper()
	if bad := eval[[]string](p, `[location.pathname + location.search, ...performance.getEntriesByType("resource").map((e) => e.name)]
		.filter((name) => /eyJ|token=|password/i.test(name) || (name.startsWith("http") && !name.startsWith(location.origin)))`); len(bad) > 0 {
		p.t.Errorf("addresses: %q", bad)
	}
	if kept := eval[int](p, `localStorage.length + sessionStorage.length + document.cookie.length`); kept > 0 {
		p.t.Error("the page keeps something after it is left")
	}
}

func TestMarkupStaysText(t *testing.T) {
	t.Parallel()
	p := room(t, 15)
	const text = `<img src=x onerror="alert(1)"> <b>bold</b> &amp;`
	p.say(sideA, text)
	p.wait(sideB+lastMessage+".text", text)
	p.wait("#log", "Message 1 of customer 15.")
	if n := p.count(".message img, .message b, #log img, #log b"); n != 0 {
		t.Errorf("the text of a message has become %d elements", n)
	}
}

// positions sends a position as the therapist and looks at the map.
func (p *page) positions() {
	p.t.Helper()
	p.script(`document.querySelector("#position [name=side]").value = "B"`)
	p.click("#position button")
	p.wait("#positions", "therapist 2")
	p.wait("#positions", "52.52000")
	for _, at := range []string{"52.523 13.401", "52.5215 13.411", "52.5188 13.409"} {
		latitude, longitude, _ := strings.Cut(at, " ")
		p.fill("#position [name=latitude]", latitude)
		p.fill("#position [name=longitude]", longitude)
		p.click("#position button")
		p.wait("#positions", latitude)
	}
	p.script(`document.querySelector("#position [name=side]").value = "A"`)
	p.click("#map")
	p.wait("#positions", "customer 1")
	eventually(p.t, "the map has a track", func() (bool, any) {
		d := eval[string](p, `document.querySelector("path.track.therapist")?.getAttribute("d") ?? ""`)
		return strings.Contains(d, "L"), d
	})
	if p.count("path.grid") == 0 || p.count(".grid-label") == 0 || p.text(".leaflet-control-scale") == "" {
		p.t.Error("the map has no grid or no scale")
	}
}

// frames looks at the log of frames and at the stories of the sockets.
func (p *page) frames() {
	p.t.Helper()
	for _, words := range []string{"The handshake is complete.", "is stored.", "types.", "Message 1 of customer 1.", "has read all messages up to"} {
		p.wait("#log", words)
	}
	p.script(`const s = document.querySelector("#filter [name=type]"); s.value = "ack"; s.dispatchEvent(new Event("change"));`)
	if types := eval[[]string](p, `[...new Set([...document.querySelectorAll("#log code")].map((c) => c.textContent))]`); len(types) != 1 || types[0] != "ack" {
		p.t.Errorf("filtered by type, the log has %q", types)
	}
	p.script(`const s = document.querySelector("#filter [name=type]"); s.value = ""; s.dispatchEvent(new Event("change"));`)
	p.wait("#timelines", "/ws/chat/1/2/")
	p.wait("#timelines", "group joined")
}

func TestDiagnosisFromTheBrowser(t *testing.T) {
	t.Parallel()
	p := room(t, 3)
	p.click("#diagnose")
	p.wait("#verdict", "All 8 steps passed")
	for _, step := range []string{"HTTP", "an echo takes", "Replica replica-", "clock", "bearer came back", "HS256, user 4", "Connected to room 3/4", "came back through Redis"} {
		if all := p.text("#steps"); !strings.Contains(all, step) {
			t.Errorf("the diagnosis does not say %q: %s", step, all)
		}
	}
	p.click(sideA + ".head button")
	p.click(sideB + ".head button")
	p.wait("#side-B .entrance", "Sign in")
	p.click("#diagnose")
	p.wait("#verdict", "Token: No side is signed in.")
}
