package api

import (
	"net/http"
	"strings"
)

// Paths lists the paths of the API, for the answer to an unknown path.
var Paths = []string{
	"/login/", "/token/refresh/", "/logout/", "/api/ticket/", "/api/conversations/", "/api/conversations/{conversation_id}/messages/",
	"/api/conversations/{conversation_id}/receipts/", "/api/unread/",
	"/api/users/{user_id}/block/", "/api/reports/", "/api/location/{customer_id}/{therapist_id}/",
}

// splitPath returns the segments of a raw path after a prefix. The trailing slash is optional. ok
// is false if the path does not have the prefix or a segment is empty.
func splitPath(path, prefix string) (segments []string, ok bool) {
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

func noSuchPath() *failure {
	fail := newFailure(http.StatusNotFound, "no_such_path", "The path does not exist.")
	fail.More = map[string]any{"paths": Paths}
	return fail
}

// requireGet returns a failure for methods other than GET and HEAD.
func requireGet(w http.ResponseWriter, r *http.Request) *failure {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	return newFailure(http.StatusMethodNotAllowed, "method_not_allowed", "Send a GET.")
}
