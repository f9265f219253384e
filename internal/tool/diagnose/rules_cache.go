package diagnose

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// noToken is what is sent to see that a request without a token is refused.
const noToken = "no token"

// cachedAnswers returns the evidence that a proxy has kept answers of the API. Each answer of
// roomspa has a Roomspa-Ref of its own, so two answers with one ref are copies. A request without a
// token gets no conversations from roomspa.
func (f *Facts) cachedAnswers() (all []string) {
	type answer struct{ path, ref string }
	copies := map[answer][]*Attempt{}
	var order []answer
	for _, a := range f.attempts(func(a *Attempt) bool {
		return a.Ours && a.Ref != "" && a.Probe != "direct" && !strings.HasPrefix(a.Path, "/ws/")
	}) {
		key := answer{a.Path, a.Ref}
		if copies[key] == nil {
			order = append(order, key)
		}
		copies[key] = append(copies[key], a)
	}
	for _, key := range order {
		if same := copies[key]; len(same) > 1 {
			all = append(all, fmt.Sprintf("%d answers of %s had the same Roomspa-Ref %s, and roomspa gives each answer its own%s", len(same), key.path, key.ref, cacheHeaders(same)))
		}
	}
	for _, a := range f.attempts((*Attempt).servedToStranger) {
		all = append(all, "GET "+a.Path+" without a token got the conversations of somebody: HTTP 200 instead of 401"+cacheHeaders([]*Attempt{a}))
	}
	return all
}

// servedToStranger reports whether a request for conversations was answered without a token.
func (a *Attempt) servedToStranger() bool {
	return a.Path == "/api/conversations/" && a.Status == http.StatusOK && (a.Sent == noToken && (a.Ours || a.Header["Age"] != "") || a.Ours && a.Probe == "routes")
}

// cacheHeaders shows what proxies say in answers about their cache.
func cacheHeaders(all []*Attempt) string {
	var said []string
	for _, a := range all {
		for _, h := range []string{"Age", "X-Cache", "X-Cache-Status", "CF-Cache-Status", "Cache-Control", "Via"} {
			if v := a.Header[h]; v != "" && !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, h+": ") }) {
				said = append(said, h+": "+v)
			}
		}
	}
	if len(said) == 0 {
		return ""
	}
	return " (" + strings.Join(said, ", ") + ")"
}
