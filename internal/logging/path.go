package logging

import (
	"strconv"
	"strings"
)

const (
	// maxSegment is the maximum length of a path segment that is logged, in bytes. An id has
	// at most 16 digits; a longer segment can be a token or a ticket.
	maxSegment = 20
	maxPath    = 100 // bytes
)

// delimiters are the delimiters of a query, plain and percent-encoded, and an encoded percent
// sign.
var delimiters = []string{"?", "&", "=", ";", "%3F", "%3f", "%26", "%3D", "%3d", "%3B", "%3b", "%25"}

// Path returns a form of a raw path that is safe to log. Clients sometimes put the query, and with
// it a token, into the path. So each segment is cut at a delimiter of queries, and a long
// segment is replaced by its length.
func Path(raw string) string {
	var b strings.Builder
	for i, segment := range strings.Split(raw, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		if b.Len() > maxPath {
			b.WriteString("…")
			break
		}
		b.WriteString(Segment(segment))
	}
	return b.String()
}

// Segment returns a form of one segment of a raw path that is safe to log.
func Segment(raw string) string {
	s, cut := raw, ""
	for _, d := range delimiters {
		if before, _, found := strings.Cut(s, d); found {
			s, cut = before, "…"
		}
	}
	if len(s) > maxSegment {
		return "<" + strconv.Itoa(len(raw)) + " bytes>"
	}
	return s + cut
}
