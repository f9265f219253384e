package handshake

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/story"
)

// ownParameters are the query parameters that only clients of roomspa's protocol send.
var ownParameters = []string{"v", "since", "ticket", "greet", "close", "close_codes"}

// isClassic reports whether a request comes from a client of the predecessor: one that neither
// offers the subprotocol bearer nor sends a parameter of roomspa's protocol.
func isClassic(r *http.Request, query url.Values) bool {
	return !hasToken(r.Header, "Sec-Websocket-Protocol", auth.Subprotocol) && !slices.ContainsFunc(ownParameters, query.Has)
}

// logRequest logs the first line of a connection. If the client reports how its
// previous socket ended, the line has the report, and what this replica knows.
func (a *attempt) logRequest(context.Context) error {
	var attrs []slog.Attr
	if last := a.query.Get("last_ref"); story.IsRef(last) {
		attrs = append(attrs, slog.String("last_ref", last))
		a.story.LastRef = last
		code := standardCode(a.query.Get("last_code"))
		a.server.metrics.countReported(code)
		if isCloseCode(code) {
			attrs = append(attrs, slog.String("last_code", code))
			a.story.LastCode = code
		}
		if seen := a.linkPrevious(); seen != "" {
			attrs = append(attrs, slog.String("last_seen", seen))
		}
	}
	a.log.Info(middleware, "Processing connection for path: "+a.story.Path, attrs...)
	return nil
}

// linkPrevious links the handshake to the story of the client's previous socket, and
// returns how that one ended if this replica knows. Sockets that ended normally have
// no story.
func (a *attempt) linkPrevious() string {
	switch a.story.LastCode {
	case "", "1000", "1001", "1012":
		return ""
	}
	previous := a.server.options.Stories.LinkPrevious(a.story)
	switch {
	case previous == nil:
		return ""
	case previous.End != nil:
		e := previous.End
		return fmt.Sprintf("%d %s by %s after %s", e.Code, e.Reason, e.By, e.Age.Round(time.Millisecond))
	default:
		return fmt.Sprintf("%d %s", previous.Code, previous.Reason)
	}
}

// isCloseCode reports whether s has the form of a close code. Nothing else that a
// client reports is logged.
func isCloseCode(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return len(s) == 4 && err == nil
}

// standardCode returns the close code that the server meant by a code which a client reports.
func standardCode(s string) string {
	if n, err := strconv.Atoi(s); err == nil && isCloseCode(s) {
		return strconv.Itoa(frame.StandardCode(n))
	}
	return s
}

// logAttempt logs the first lines of the endpoint's component.
func (a *attempt) logAttempt() {
	component := a.endpoint.Component
	a.log.Info(component, "Connection attempt started")
	if a.endpoint.Anonymous {
		return
	}
	if u := a.peer.User; u != nil {
		a.log.Info(component, "User authenticated: True, User: "+a.log.Email(u.Contact()))
	} else {
		a.log.Info(component, "User authenticated: False, User: AnonymousUser")
	}
}
