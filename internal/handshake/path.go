package handshake

import (
	"strconv"
	"strings"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// match returns the endpoint of a raw path, and the segments below its name. The
// trailing slash is optional. It returns nil if there is no such path: an unknown
// endpoint, too many segments, dot segments, or a double slash elsewhere than in
// the place of an id.
//
// The path is matched raw: http.ServeMux would answer some of these with a redirect,
// and WebSocket clients follow none (RFC 6455 §4.1).
func (s *Server) match(path string) (e *endpoint.Endpoint, segments []string) {
	rest, ok := strings.CutPrefix(path, "/ws/")
	if !ok {
		return nil, nil
	}
	name, below, _ := strings.Cut(rest, "/")
	e = s.endpoints[name]
	if e == nil || below == "" {
		return e, nil
	}
	segments = strings.Split(strings.TrimSuffix(below, "/"), "/")
	if len(segments) > len(e.IDs) {
		return nil, nil
	}
	for _, segment := range segments {
		if segment == "." || segment == ".." {
			return nil, nil
		}
	}
	return e, segments
}

// parseIDs reads the ids with the given names from the segments of a path. Missing
// ids are reported before malformed ones, both in the order of the names.
func parseIDs(names, segments []string) ([]room.UserID, *frame.Close) {
	for i, name := range names {
		if i >= len(segments) || segments[i] == "" {
			return nil, missingID(names, i, name)
		}
	}
	ids := make([]room.UserID, len(names))
	for i, name := range names {
		var ok bool
		if ids[i], ok = room.ParseUserID(segments[i]); !ok {
			return nil, &frame.Close{
				Code: frame.CodeParameters, Reason: "bad_id",
				Detail: name + " must be a whole number from 1 to 9007199254740991 without sign or leading zero, not " + strconv.Quote(logging.Segment(segments[i])),
			}
		}
	}
	return ids, nil
}

func missingID(names []string, i int, name string) *frame.Close {
	ordinal := [...]string{"first", "second", "third"}[i]
	return &frame.Close{
		Code: frame.CodeParameters, Reason: "missing_" + name,
		Detail: "the path is /ws/…/{" + strings.Join(names, "}/{") + "}/; the " + ordinal + " id is missing",
	}
}

// describeIDs returns the ids as the log has them ("Customer ID: 1, Therapist ID: 2")
// and as the story has them ("customer 1, therapist 2").
func describeIDs(names []string, ids []room.UserID) (line, detail string) {
	l, d := make([]byte, 0, 64), make([]byte, 0, 64)
	for i, id := range ids {
		who := strings.TrimSuffix(names[i], "_id")
		if i > 0 {
			l, d = append(l, ", "...), append(d, ", "...)
		}
		l = append(append(append(l, strings.ToUpper(who[:1])...), who[1:]...), " ID: "...)
		d = append(append(d, who...), ' ')
		l, d = strconv.AppendInt(l, int64(id), 10), strconv.AppendInt(d, int64(id), 10)
	}
	return string(l), string(d)
}
