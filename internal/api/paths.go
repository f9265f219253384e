package api

import (
	"net/http"
	"strings"

	"github.com/roomspa/roomspa/internal/problem"
)

// Paths lists what is answered over plain HTTP, for whoever asked for another path.
var Paths = []string{"/login/", "/token/refresh/", "/logout/", "/api/ticket/", "/api/conversations/", "/api/conversations/{conversation_id}/messages/"}

// below cuts a raw path behind a prefix into its segments. The trailing slash is
// optional; ok is false where a segment is empty.
func below(path, prefix string) (segments []string, ok bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	rest = strings.TrimSuffix(strings.TrimPrefix(rest, "/"), "/")
	if !ok || rest == "" {
		return nil, ok && (path == prefix || path == prefix+"/")
	}
	segments = strings.Split(rest, "/")
	for _, s := range segments {
		ok = ok && s != ""
	}
	return segments, ok && strings.HasPrefix(path, prefix+"/")
}

func noSuchPath() *refusal {
	no := refuse(http.StatusNotFound, "no_such_path", "There is nothing here.")
	no.More = map[string]any{"paths": Paths}
	return no
}

// onlyGet refuses other methods than those that read.
func onlyGet(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	return &refusal{cause: "method_not_allowed", Problem: problem.Problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "Send a GET.",
	}}
}
