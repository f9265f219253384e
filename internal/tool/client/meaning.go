package client

import (
	"strconv"

	"github.com/roomspa/roomspa/internal/frame"
)

const (
	retryLater   = "Reconnect with a growing, jittered delay."
	resumeLater  = "Reconnect with a growing, jittered delay, and resume."
	resumeAsked  = "Reconnect after after_ms, and resume."
	fixClient    = "Do not retry: fix the client."
	fixParameter = "Do not retry: fix the request."
)

// byCode explains close codes whose reason is empty or unknown (RFC 6455 §7.4.1 and the
// protocol's own codes).
var byCode = map[int]struct{ means, client string }{
	frame.CodeNormal:      {"A normal closure.", "Nothing to do."},
	frame.CodeGoingAway:   {"The peer goes away: a browser leaves the page, or a proxy shuts down.", "Reconnect, and resume."},
	frame.CodeProtocol:    {"One side violated RFC 6455.", fixClient},
	frame.CodeUnsupported: {"The endpoint does not accept this kind of data.", "Do not retry: send text frames."},
	CodeNoStatus:          {"A Close frame without a code.", "Reconnect, and resume."},
	CodeAbnormal: {
		"The connection was lost without a Close frame: because of the network, a proxy's timeout, or a server that was killed.",
		resumeLater,
	},
	frame.CodeInvalidData: {"A text frame was not valid UTF-8.", fixClient},
	frame.CodePolicy:      {"The client kept exceeding a limit.", "Reconnect after a minute, and send more slowly."},
	frame.CodeTooBig:      {"A message was larger than the limit.", "Reconnect, and do not send that message again."},
	1010:                  {"The client requires an extension that the server does not support.", fixClient},
	frame.CodeInternal:    {"An error of the server.", resumeLater},
	frame.CodeRestart:     {"The replica restarts or sheds load.", resumeAsked},
	frame.CodeTryLater:    {"The server cannot serve this socket now.", resumeAsked},
	1014:                  {"A gateway could not reach the server.", resumeLater},
	1015:                  {"The TLS handshake failed. Like 1006, this code is never sent.", "Check the certificate, then retry."},
	frame.CodeParameters:  {"Parameters of the request are missing or malformed.", fixParameter},
	frame.CodeIdentity:    {"Not authenticated.", "Get a new token, then retry once."},
	frame.CodeForbidden:   {"Not authorized.", fixParameter},
}

// Means explains a close code and its reason in one sentence.
func Means(code int, reason string) string {
	means, _ := explainClose(code, reason)
	return means
}

// explainClose returns what a close code and its reason mean, and what the client should
// do.
func explainClose(code int, reason string) (means, todo string) {
	code = frame.StandardCode(code)
	if r := frame.Find(code, reason); reason != "" && r.Word != "" {
		return r.Means, r.Client
	}
	if c, ok := byCode[code]; ok {
		return c.means, c.client
	}
	if code >= 1000 && code < 3000 {
		return "The code " + strconv.Itoa(code) + " is reserved, and roomspa never sends it.", retryLater
	}
	return "The code " + strconv.Itoa(code) + " is not one of roomspa's.", "Do not retry: check what stands between the client and the server."
}
