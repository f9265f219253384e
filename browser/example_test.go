package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// The users of the example page, whose room no other test uses.
const exampleCustomer, exampleTherapist = 7, 8

// examplePage serves the example of the JavaScript client in front of roomspa, with the answers of a user to its prompts.
func examplePage(t *testing.T, user int) string {
	t.Helper()
	target, err := url.Parse(world.report.URL)
	if err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile("../clients/js/example.html")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Replace(string(html), "= [1, 2]", fmt.Sprintf("= [%d, %d]", exampleCustomer, exampleTherapist), 1)
	if page == string(html) {
		t.Fatal("the example names no room")
	}
	u := world.report.Users[user-1]
	answers := fmt.Sprintf(`<!doctype html><script>prompt = (what) => ({"E-mail": %q, "Password": %q})[what]</script>`, u.Email, u.Password)
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(target))
	mux.HandleFunc("/roomspa.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "../clients/js/roomspa.js") })
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/example.html", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, answers, page) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/example.html"
}

// TestExamplePage lets two tabs of the example chat.
func TestExamplePage(t *testing.T) {
	t.Parallel()
	if world.browser == nil {
		t.Skip("there is no Chromium")
	}
	customer, therapist := open(t, examplePage(t, exampleCustomer), lostSocket), open(t, examplePage(t, exampleTherapist), lostSocket)
	for _, p := range []*page{customer, therapist} {
		eventually(t, "a user is signed in", func() (bool, any) { n := p.count("[name=text]:enabled"); return n == 1, n })
	}
	customer.fill("[name=text]", "Are you there?"+kb.Enter)
	therapist.wait("#messages", "customer: Are you there?")
	therapist.fill("[name=text]", "Ten minutes."+kb.Enter)
	customer.wait("#messages", "therapist: Ten minutes.")
}
