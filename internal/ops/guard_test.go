package ops_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestDebugPagesNeedTheToken(t *testing.T) {
	t.Parallel()
	const token = "a token of the operators"
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.OpsToken = token })
	for _, path := range []string{"/debug", "/debug/closes", "/debug/pprof/", "/debug/pprof/heap", "/debug/stories/5y9wf9nkmtdb0j4q", "/debug/x"} {
		for _, header := range []string{"", "Bearer", "Bearer " + token + "s", "Bearer " + token[1:], "Basic " + token, token} {
			res, body := world.Ask(t, http.MethodGet, r.Ops(path), "", "Authorization", header)
			if res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") || !strings.Contains(string(body), "--ops-token") {
				t.Errorf("%s with %q: %d %s", path, header, res.StatusCode, body)
			}
		}
		for _, scheme := range []string{"Bearer ", "bearer "} {
			if res, body := world.Ask(t, http.MethodGet, r.Ops(path), "", "Authorization", scheme+token); res.StatusCode == http.StatusUnauthorized {
				t.Errorf("%s with the token: %s", path, body)
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if status, _, body := world.Get(t, r.Ops(path)); status != http.StatusOK {
			t.Errorf("%s without a token: %d %s", path, status, body)
		}
	}
	socket := r.ConnectAs(t, world.Customer, "/ws/chat/5/6/", nil) // refused, so there is a story
	socket.ExpectRefusal(t, 4003, "not_your_room")
	world.Eventually(t, "the story can be read with the token", func() (bool, any) {
		_, err := ops.Ask(t.Context(), r.OpsAddr(), token, socket.Ref())
		return err == nil, err
	})
	if _, err := ops.Ask(t.Context(), r.OpsAddr(), "", socket.Ref()); err == nil || !strings.Contains(err.Error(), "--ops-token") {
		t.Errorf("asked without the token: %v", err)
	}
	if strings.Contains(r.Log.String(), token) {
		t.Error("the token is in the log")
	}
}

func TestWithoutATokenDebugPagesAreForTheHost(t *testing.T) {
	t.Parallel()
	handler := ops.New(ops.Options{IdleCuts: func() any { return "cuts" }})
	for remote, want := range map[string]int{
		"127.0.0.1:5": 200, "[::1]:5": 200, "[::ffff:127.0.0.1]:5": 200,
		"127.0.0.6:5": 403, "10.0.0.7:5": 403, "[fe80::1]:5": 403, "": 403,
	} {
		for _, forwarded := range []bool{false, true} {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/closes", nil)
			req.RemoteAddr, req.Host = remote, "localhost:9090"
			if forwarded {
				req.Header.Set("X-Forwarded-For", "192.0.2.1")
				want = http.StatusForbidden
			}
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, req)
			body, _ := io.ReadAll(rec.Body)
			if rec.Code != want || want == 403 && !json.Valid(body) {
				t.Errorf("from %q, forwarded %v: %d %s", remote, forwarded, rec.Code, body)
			}
		}
	}
}
