// Package problem writes refusals over HTTP as problem documents (RFC 9457), the
// same everywhere: before an upgrade, in the API and on the ops listener.
package problem

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// Header carries the reference of every answer, good or bad.
const Header = "Roomspa-Ref"

// A Problem is one refusal. Its type is about:blank unless given, which RFC 9457
// §4.2.1 defines as "no more than the status says"; what is special about it is
// in the member "code", a stable word in the manner of the close reasons. So the
// words are one vocabulary on HTTP and on sockets, and no page has to exist at
// some address for each of them.
type Problem struct {
	Type   string // a URI reference; empty means about:blank
	Title  string // short, the same for each occurrence; empty means the status in words
	Status int    // the HTTP status
	Code   string // the stable word
	Detail string // for a person: what is wrong with this request, and what to do
	Ref    string // the reference, here and in the header Roomspa-Ref
	// RetryAfter goes into the header of that name (RFC 9110 §10.2.3), in whole
	// seconds, rounded up; 0 leaves it out.
	RetryAfter time.Duration
	// More is extension members (RFC 9457 §3.2). One that has the name of a
	// member above is ignored.
	More map[string]any
}

// MarshalJSON writes the members that are not empty.
func (p Problem) MarshalJSON() ([]byte, error) {
	members := make(map[string]any, 6+len(p.More))
	maps.Copy(members, p.More)
	members["type"] = cmp.Or(p.Type, "about:blank")
	members["title"] = cmp.Or(p.Title, http.StatusText(p.Status))
	members["status"] = p.Status
	for name, text := range map[string]string{"code": p.Code, "detail": p.Detail, "ref": p.Ref} {
		delete(members, name)
		if text != "" {
			members[name] = text
		}
	}
	return json.Marshal(members)
}

// Write answers with the document. Headers that only some problems have, for
// instance Allow, are set before.
func (p Problem) Write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil { // only More can be at fault; the refusal matters more
		p.More = nil
		body, _ = json.Marshal(p)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Ref != "" {
		h.Set(Header, p.Ref)
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the client is gone: nobody is left to tell
}
