package logging

import (
	"strconv"
	"strings"
)

const (
	// maxSegment is the longest segment of a path that is shown: an id has at most 16
	// digits, and what is longer may be a token or a ticket.
	maxSegment = 20
	maxPath    = 100 // in bytes
)

// dividers are what divides a query, as it is and percent-encoded, and what begins
// an encoded percent sign.
var dividers = []string{"?", "&", "=", ";", "%3F", "%3f", "%26", "%3D", "%3d", "%3B", "%3b", "%25"}

// Path is a raw path as it may be logged. Clients put into it by mistake what was
// meant for the query, above all tokens; so of a segment nothing is shown behind
// what would divide a query, and of a long one only how long it is.
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

// Segment is one segment of a raw path as it may be shown.
func Segment(raw string) string {
	s, cut := raw, ""
	for _, d := range dividers {
		if before, _, found := strings.Cut(s, d); found {
			s, cut = before, "…"
		}
	}
	if len(s) > maxSegment {
		return "<" + strconv.Itoa(len(raw)) + " bytes>"
	}
	return s + cut
}
