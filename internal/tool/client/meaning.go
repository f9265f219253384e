package client

import (
	"strconv"

	"github.com/roomspa/roomspa/internal/frame"
)

// general says what a code means where its reason says no more, or is not ours:
// RFC 6455 §7.4.1 and the protocol's own.
var general = map[int]struct{ means, client string }{
	frame.CodeNormal:      {"A normal closure.", "Nothing: it is over."},
	frame.CodeGoingAway:   {"The peer goes away: a browser that leaves the page, or a proxy that stops.", "Reconnect, and resume."},
	frame.CodeProtocol:    {"One side broke RFC 6455.", "Do not retry: mend the client."},
	frame.CodeUnsupported: {"A kind of data that the endpoint does not take.", "Do not retry: send text frames."},
	CodeNoStatus:          {"A Close frame without a code.", "Reconnect, and resume."},
	CodeAbnormal: {
		"The connection was lost without a Close frame: the network, a proxy's time-out, or a server that was killed.",
		"Reconnect with a growing, jittered delay, and resume.",
	},
	frame.CodeInvalidData: {"Text that is not UTF-8.", "Do not retry: mend the client."},
	frame.CodePolicy:      {"The client broke a rule that it was told about.", "Reconnect after a minute, and send slower."},
	frame.CodeTooBig:      {"A message larger than the limit.", "Reconnect, and do not send that message again."},
	1010:                  {"The client wanted an extension that the server does not have.", "Do not retry: mend the client."},
	frame.CodeInternal:    {"The server's fault.", "Reconnect with a growing, jittered delay, and resume."},
	frame.CodeRestart:     {"The replica restarts or sheds load.", "Reconnect after after_ms, and resume."},
	frame.CodeTryLater:    {"The server cannot serve this socket now.", "Reconnect after after_ms, and resume."},
	1014:                  {"A gateway could not reach the server.", "Reconnect with a growing, jittered delay, and resume."},
	1015:                  {"TLS failed; like 1006 it is never sent.", "Look at the certificate, then retry."},
	frame.CodeParameters:  {"The request's parameters are missing or malformed.", "Do not retry: mend the request."},
	frame.CodeIdentity:    {"Not authenticated.", "Get a new token, then retry once."},
	frame.CodeForbidden:   {"Not authorized.", "Do not retry: mend the request."},
}

// Explain says in words what a close code and its reason's word mean, and what a
// client does about it. An empty or unknown reason is explained by its code.
func Explain(code int, reason string) string {
	means, todo := meaning(code, reason)
	return means + " " + todo
}

// Means says in words what a close code and its reason's word mean.
func Means(code int, reason string) string {
	means, _ := meaning(code, reason)
	return means
}

func meaning(code int, reason string) (means, client string) {
	if r := frame.Find(code, reason); reason != "" && r.Word != "" {
		return r.Means, r.Client
	}
	if g, ok := general[code]; ok {
		return g.means, g.client
	}
	if code >= 1000 && code < 3000 {
		return "The code " + strconv.Itoa(code) + " is reserved, and nothing that roomspa sends.", "Reconnect with a growing, jittered delay."
	}
	return "The code " + strconv.Itoa(code) + " is not one of roomspa's.", "Do not retry: look at what stands between."
}
