package problem_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/problem"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		problem problem.Problem
		want    map[string]any
		headers map[string]string
	}{
		{
			"a bare status is a document too",
			problem.Problem{Status: 404},
			map[string]any{"type": "about:blank", "title": "Not Found", "status": 404.0},
			map[string]string{"Roomspa-Ref": "", "Retry-After": ""},
		},
		{
			"the reference is in the body and in the header",
			problem.Problem{Status: 403, Code: "bad_origin", Detail: "No.", Ref: "0123456789abcdef", Title: "Refused", Type: "/problems/x"},
			map[string]any{
				"type": "/problems/x", "title": "Refused", "status": 403.0, "code": "bad_origin", "detail": "No.", "ref": "0123456789abcdef",
			},
			map[string]string{"Roomspa-Ref": "0123456789abcdef"},
		},
		{
			"Retry-After is rounded up to whole seconds",
			problem.Problem{Status: 503, RetryAfter: 1100 * time.Millisecond},
			map[string]any{"type": "about:blank", "title": "Service Unavailable", "status": 503.0},
			map[string]string{"Retry-After": "2"},
		},
		{
			"extension members stand beside the others, and replace none",
			problem.Problem{Status: 404, More: map[string]any{"paths": []string{"/ws/test/"}, "status": 200, "ref": "forged"}},
			map[string]any{"type": "about:blank", "title": "Not Found", "status": 404.0, "paths": []any{"/ws/test/"}},
			nil,
		},
		{
			"an extension that has no JSON does not take the refusal with it",
			problem.Problem{Status: 404, Code: "not_found", More: map[string]any{"f": func() {}}},
			map[string]any{"type": "about:blank", "title": "Not Found", "status": 404.0, "code": "not_found"},
			nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			tt.problem.Write(w)
			res := w.Result()
			defer func() { _ = res.Body.Close() }()
			var got map[string]any
			if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if res.StatusCode != tt.problem.Status {
				t.Errorf("status %d", res.StatusCode)
			}
			checkHeaders(t, res.Header, tt.headers)
		})
	}
}

func checkHeaders(t *testing.T, h http.Header, want map[string]string) {
	t.Helper()
	if got := h.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	for name, value := range want {
		if got := h.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}
