package handshake

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// Paths lists the WebSocket paths there are, for whoever asked for another one.
var Paths = []string{"/ws/test/", "/ws/chat/{customer_id}/{therapist_id}/", "/ws/location/{customer_id}/{therapist_id}/"}

// split takes a raw path apart: the endpoint's name and the segments below it.
// The trailing slash is optional. ok is false where there is no such path: an
// unknown endpoint, too many segments, dot segments, or a double slash elsewhere
// than in the place of an id.
//
// The path is taken raw, as it came: http.ServeMux would answer some of these
// with a redirect, and WebSocket clients follow none (RFC 6455 §4.1).
func split(path string) (endpoint string, ids []string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/ws/")
	if !ok {
		return "", nil, false
	}
	endpoint, below, more := strings.Cut(rest, "/")
	switch endpoint {
	case "test":
		return endpoint, nil, below == ""
	case "chat", "location":
	default:
		return "", nil, false
	}
	if !more || below == "" {
		return endpoint, nil, true
	}
	ids = strings.Split(strings.TrimSuffix(below, "/"), "/")
	for _, id := range ids {
		if id == "." || id == ".." {
			return "", nil, false
		}
	}
	return endpoint, ids, len(ids) <= 2
}

// parseRoom reads the ids below an endpoint. A missing one is looked for before a
// malformed one, the customer's before the therapist's.
func parseRoom(ids []string) (room.Room, *frame.Close) {
	at := func(i int) string {
		if i < len(ids) {
			return ids[i]
		}
		return ""
	}
	if at(0) == "" {
		return room.Room{}, &frame.Close{Code: frame.CodeParameters, Reason: "missing_customer_id", Detail: "the path is /ws/…/{customer_id}/{therapist_id}/; the first id is missing"}
	}
	if at(1) == "" {
		return room.Room{}, &frame.Close{Code: frame.CodeParameters, Reason: "missing_therapist_id", Detail: "the path is /ws/…/{customer_id}/{therapist_id}/; the second id is missing"}
	}
	customer, ok := room.ParseUserID(at(0))
	if !ok {
		return room.Room{}, badID("customer_id", at(0))
	}
	therapist, ok := room.ParseUserID(at(1))
	if !ok {
		return room.Room{}, badID("therapist_id", at(1))
	}
	return room.Room{Customer: customer, Therapist: therapist}, nil
}

func badID(which, got string) *frame.Close {
	return &frame.Close{
		Code: frame.CodeParameters, Reason: "bad_id",
		Detail: which + " must be a whole number from 1 to 9007199254740991 without sign or leading zero, not " + strconv.Quote(logging.Segment(got)),
	}
}

// parseSince reads ?since=. It returns nil where the client gave none.
func parseSince(q url.Values) (*int64, *frame.Close) {
	if !q.Has("since") {
		return nil, nil
	}
	n, err := strconv.ParseInt(q.Get("since"), 10, 64)
	if err != nil || n < 0 || strings.HasPrefix(q.Get("since"), "+") {
		return nil, &frame.Close{Code: frame.CodeParameters, Reason: "bad_since", Detail: "since must be a whole number of 0 or more: the highest seq that the client has"}
	}
	return &n, nil
}

// parsePing reads ?ping= of the test endpoint: whether the server is to ping.
func parsePing(q url.Values) (bool, *frame.Close) {
	if q.Has("ping") && q.Get("ping") != "off" {
		return false, &frame.Close{Code: frame.CodeParameters, Reason: "bad_ping", Detail: "ping takes off, or is left out"}
	}
	return !q.Has("ping"), nil
}

// parseCloseCode reads ?close= of the test endpoint; 0 where none was given.
func parseCloseCode(q url.Values) (int, *frame.Close) {
	if !q.Has("close") {
		return 0, nil
	}
	n, err := strconv.Atoi(q.Get("close"))
	allowed := n >= 1000 && n <= 1003 || n >= 1007 && n <= 1014 || n >= 3000 && n <= 4999
	if err != nil || !allowed {
		return 0, &frame.Close{Code: frame.CodeParameters, Reason: "bad_close_code", Detail: "close takes 1000-1003, 1007-1014 and 3000-4999"}
	}
	return n, nil
}
