package handshake

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/session"
)

// check returns the refusal of a request that is answered over plain HTTP, or nil if
// the request may be upgraded. pathExists says that there is an endpoint.
func (s *Server) check(r *http.Request, pathExists bool) *problem.Problem {
	if !pathExists {
		return &problem.Problem{Status: http.StatusNotFound, Code: "no_such_path", Title: "No such path", Detail: "There is no WebSocket here.", More: map[string]any{"paths": s.paths}}
	}
	if r.Method != http.MethodGet {
		return &problem.Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Title: "Method not allowed", Detail: "A WebSocket handshake is a GET (RFC 6455 §4.1)."}
	}
	if s.sockets.Draining() {
		return unavailable("")
	}
	if p := checkHeaders(r); p != nil {
		return p
	}
	origin, one := auth.Origin(r.Header)
	if !one {
		return &problem.Problem{Status: http.StatusBadRequest, Code: "several_origins", Title: "Bad handshake", Detail: "Send one Origin header (RFC 6454 §7.3). If the client does, a proxy in front adds one."}
	}
	if origin != "" && !auth.OriginAllowed(origin, r.Host, s.options.Origins) {
		return &problem.Problem{
			Status: http.StatusForbidden, Code: "origin_refused", Title: "Origin refused",
			Detail: "Pages of the origin " + strconv.Quote(truncate(origin)) + " may not connect to the host " + strconv.Quote(truncate(r.Host)) + ". Add it to --origins (ROOMSPA_ORIGINS) if they should.",
		}
	}
	return nil
}

// addressLimit means that the client's address holds its share of the sockets.
const addressLimit session.Limit = "this address holds too many sockets"

// unavailable returns the refusal of a replica that takes no more sockets. An empty
// reason means that the replica shuts down.
func unavailable(why session.Limit) *problem.Problem {
	detail := "This replica is shutting down. Connect again: another one will answer."
	switch why {
	case session.ConnectionLimit:
		detail = "This replica holds as many sockets as it can. Connect again in a while."
	case addressLimit:
		detail = "Your address holds too many sockets. Close some, or connect again in a while."
	case session.AnonymousLimit:
		detail = "This replica holds as many sockets without a token as it can. Connect again in a while."
	case session.MemoryLimit:
		detail = "This replica's memory is nearly used up. Connect again in a while."
	}
	return &problem.Problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Title: "Try again", Detail: detail}
}

// checkHeaders checks the headers that RFC 6455 §4.2.1 requires of an opening
// handshake. The refusal names the usual cause of a missing header.
func checkHeaders(r *http.Request) *problem.Problem {
	upgrade := hasToken(r.Header, "Upgrade", "websocket")
	connection := hasToken(r.Header, "Connection", "upgrade")
	key := r.Header.Get("Sec-Websocket-Key")
	required := func(detail string) *problem.Problem {
		return &problem.Problem{Status: http.StatusUpgradeRequired, Code: "upgrade_required", Title: "This is a WebSocket", Detail: detail}
	}
	switch {
	case (!upgrade || !connection) && key != "":
		return required("The request carries Sec-WebSocket-Key but lacks the header Upgrade or Connection: a proxy in front does not forward them. In nginx set proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade and proxy_set_header Connection \"upgrade\".")
	case !upgrade || !connection:
		return required("This path is a WebSocket. Connect with a WebSocket client, as in new WebSocket(\"wss://…\") or roomspa connect URL.")
	case !r.ProtoAtLeast(1, 1):
		return required("The request came as HTTP/1.0, which has no upgrade: a proxy in front speaks it. In nginx set proxy_http_version 1.1.")
	case !hasToken(r.Header, "Sec-Websocket-Version", "13"):
		return required("Only version 13 of the WebSocket protocol is spoken here (RFC 6455).")
	}
	if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) != 16 {
		return &problem.Problem{
			Status: http.StatusBadRequest, Code: "bad_websocket_key", Title: "Bad handshake",
			Detail: "Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455 §4.1).",
		}
	}
	return nil
}

// hasToken reports whether a comma-separated header contains a token, in any case.
func hasToken(h http.Header, name, token string) bool {
	for _, line := range h[name] {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// truncate returns at most 100 bytes of s, so that a refusal does not repeat a long
// header.
func truncate(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
