// Package problem writes HTTP errors as problem documents (RFC 9457). It is used before an
// upgrade, by the API and by the ops listener.
package problem

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// Header is the response header with the reference of the request.
const Header = "Roomspa-Ref"

// A Problem is an HTTP error. Its kind is the member "code", a stable word of the same vocabulary
// as the close reasons. The member "type" is therefore about:blank by default (RFC 9457
// §4.2.1), and no page has to exist for each kind.
type Problem struct {
	Type   string // a URI reference; empty means about:blank
	Title  string // the same for each occurrence; empty means the text of the status
	Status int    // the HTTP status
	Code   string // the stable word
	Detail string // what is wrong with this request and what to do
	Ref    string // the reference, also sent in the header Roomspa-Ref
	// RetryAfter is sent in the header Retry-After (RFC 9110 §10.2.3), rounded up to
	// seconds. 0 omits the header.
	RetryAfter time.Duration
	// More holds extension members (RFC 9457 §3.2). It cannot replace the members above.
	More map[string]any
}

// MarshalJSON encodes the members that are not empty.
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

// Write sends the document as the response. Headers of special problems, for example Allow, must
// be set before.
func (p Problem) Write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil { // only More can cause it
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
	_ = Send(w, append(body, '\n')) // fails only if the client is gone
}
