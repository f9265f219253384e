package ops_test

import (
	"net/http"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestTheOpsListenersPathsNeedNoSlashAndRedirectNobody(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	for path, want := range map[string]int{
		"/livez": 200, "/livez/": 200, "/readyz": 200, "/readyz/": 200, "/readyz/?verbose": 200, "/metrics": 200, "/metrics/": 200,
		"/debug/pprof": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/heap/": 200, "/debug/pprof/cmdline": 200,
		"/": 404, "/livez//": 404, "//livez": 404, "/./livez": 404, "/%6civez": 404, "/debug": 404, "/debug/pprof//": 404, "/debug/pprof/x": 404,
	} {
		status, header, body := world.Get(t, r.Ops(path))
		if status != want || header.Get("Location") != "" {
			t.Errorf("%s is %d (Location %q), want %d", path, status, header.Get("Location"), want)
		}
		if want != 200 && header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s is no problem document: %.100s", path, body)
		}
	}
	res, _ := world.Ask(t, http.MethodPost, r.Ops("/livez/"), "")
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("a POST is answered with %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}
