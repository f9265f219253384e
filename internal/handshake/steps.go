package handshake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

// middleware is the component that the predecessor's operators know for all that
// concerns the token.
const middleware = "JWTAuthMiddleware"

// A rejection is a step's error: the close, and the line that the log has for it.
type rejection struct {
	close           *frame.Close
	component, line string
	cause           string // the word beneath the close's reason; "" where there is none
}

func (r *rejection) Error() string { return r.line }
func (r *rejection) Unwrap() error { return r.close }

// detail is what the story says of it: what the client is told, or else the cause.
func (r *rejection) detail() string {
	if r.close.Detail == "" && r.close.Cause != nil {
		return r.close.Cause.Error()
	}
	return r.close.Detail
}

// steps is what every handshake of a room goes through, in this order. The first
// one that fails decides the code.
var steps = []struct {
	name string
	run  func(*attempt, context.Context) error
}{
	{"token found", (*attempt).findToken},
	{"token decoded", (*attempt).decodeToken},
	{"user loaded", (*attempt).loadUser},
	{"authorized", (*attempt).authorize},
	{"group joined", (*attempt).join},
	{"accepted", (*attempt).accept},
	{"conversation loaded", (*attempt).load},
}

// run runs the steps. A panic in one is an error of that step.
func (a *attempt) run(ctx context.Context) error {
	for _, step := range steps {
		err := a.tale.Do(step.name, func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("panic in step %q: %v\n%s", step.name, p, debug.Stack())
				}
			}()
			return step.run(a, ctx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) findToken(context.Context) error {
	ticket, err := auth.TicketFromRequest(a.request)
	if err != nil {
		return a.identity(err)
	}
	token, err := auth.FromRequest(a.request)
	if r, ok := errors.AsType[*auth.Refusal](err); ok && r.Reason == auth.TokenMissing && ticket != "" {
		err = nil
	}
	if err != nil {
		return a.identity(err)
	}
	a.token, a.ticket = token, ticket
	if token != "" {
		a.tale.Detail(fmt.Sprintf("a token of %d bytes", len(token)))
		a.log.Info(middleware, "Token found: "+auth.Preview(token))
	}
	if ticket != "" {
		a.tale.Detail(fmt.Sprintf("a ticket of %d bytes", len(ticket)))
		a.log.Info(middleware, fmt.Sprintf("Ticket found: %d bytes", len(ticket)))
	}
	return nil
}

func (a *attempt) decodeToken(ctx context.Context) error {
	var claims auth.Claims
	if a.token != "" {
		var err error
		if claims, err = a.server.tokens.Verify(a.token, time.Now()); err != nil {
			return a.identity(err)
		}
		a.log.Info(middleware, fmt.Sprintf("Decoded token payload, user_id: %d", claims.UserID))
	}
	if a.ticket != "" {
		redeemed, err := a.redeem(ctx)
		if err != nil {
			return err
		}
		if a.token == "" {
			claims = redeemed
		} else if err := auth.SameUser(redeemed, claims); err != nil {
			return a.identity(err)
		}
	}
	a.claims, a.token, a.ticket = claims, "", ""
	a.tale.User = int64(claims.UserID)
	a.tale.Detail(fmt.Sprintf("user %d, expires %s", claims.UserID, claims.ExpiresAt.UTC().Format(time.RFC3339)))
	// From here on a sign-out ends it: what the next step reads may be older than one.
	a.peer.Session.Authenticate(session.Token{User: int64(claims.UserID), IssuedAt: claims.IssuedAt, ExpiresAt: claims.ExpiresAt})
	return nil
}

// redeem trades the ticket for what it stands for. It is gone then, whatever comes
// of the handshake.
func (a *attempt) redeem(ctx context.Context) (c auth.Claims, err error) {
	err = room.ErrNotFound
	if tickets := a.server.options.Tickets; tickets != nil {
		c.UserID, c.IssuedAt, c.ExpiresAt, err = tickets.Redeem(ctx, a.ticket)
	}
	switch {
	case errors.Is(err, room.ErrNotFound):
		return c, a.identity(auth.BadTicket())
	case err != nil:
		closed := &frame.Close{
			Code: frame.CodeInternal, Reason: "channel_layer_unavailable", Cause: err,
			Detail: "The ticket cannot be looked up, since Redis cannot be reached; connect again, with a new ticket or a token.",
		}
		return c, &rejection{close: closed, component: middleware, line: "Failed to redeem ticket: " + err.Error()}
	}
	a.log.Info(middleware, fmt.Sprintf("Ticket redeemed, user_id: %d", c.UserID))
	return c, nil
}

// identity turns a refused token into a rejection.
func (a *attempt) identity(err error) error {
	r, ok := errors.AsType[*auth.Refusal](err)
	if !ok {
		return err
	}
	c := &frame.Close{Code: frame.CodeIdentity, Reason: r.Reason, Detail: r.Error()}
	if r.User != 0 {
		a.tale.User = int64(r.User)
	}
	if r.Reason == auth.TokenMissing {
		return &rejection{close: c, component: middleware, line: "No token provided"}
	}
	bad := &rejection{close: c, component: middleware, line: "Invalid token: " + r.Error()}
	if r.Reason == auth.TokenInvalid {
		bad.cause = r.Word
	}
	return bad
}

// loadUser fetches the token's user together with those that the path names: one
// query instead of two.
func (a *attempt) loadUser(ctx context.Context) error {
	id := a.claims.UserID
	ids := []room.UserID{id}
	for _, text := range a.ids {
		if other, ok := room.ParseUserID(text); ok && other != id {
			ids = append(ids, other)
		}
	}
	var err error
	if a.known, err = a.server.users.Users(ctx, ids); err != nil {
		return &rejection{close: unavailableDatabase(err), component: middleware, line: "Database error in get_user: " + err.Error()}
	}
	u := a.known[id]
	switch reason := u.Refuses(a.claims.IssuedAt); reason {
	case "":
	case "user_unknown":
		return reject(frame.CodeIdentity, reason, "", middleware, fmt.Sprintf("User not found: %d", id))
	case "user_inactive":
		return reject(frame.CodeIdentity, reason, "", middleware, "User inactive: "+a.describe(u))
	default:
		return reject(frame.CodeIdentity, reason, "", middleware,
			"Invalid token: token_revoked: issued before the user signed out everywhere at "+u.TokensValidAfter.UTC().Format(time.RFC3339))
	}
	a.peer.User = u
	a.tale.Role = string(u.Role)
	a.tale.Detail(fmt.Sprintf("user %d, %s", u.ID, u.Role))
	a.log.Info(middleware, "User found: "+a.describe(u))
	a.log.Info(middleware, fmt.Sprintf("User authenticated: %d (%s)", u.ID, a.log.Email(u.Email)))
	return nil
}

func (a *attempt) describe(u *room.User) string {
	return fmt.Sprintf("%d - %s (role: %s)", u.ID, a.log.Email(u.Email), u.Role)
}

func (a *attempt) authorize(context.Context) error {
	a.logAttempt()
	var bad *frame.Close
	if a.peer.Room, bad = parseRoom(a.ids); bad == nil {
		a.log.Info(a.endpoint.Component, fmt.Sprintf("Customer ID: %d, Therapist ID: %d", a.peer.Room.Customer, a.peer.Room.Therapist))
		if a.endpoint.Name == "chat" {
			a.peer.Since, bad = parseSince(a.query)
		}
	}
	if bad != nil {
		return &rejection{close: bad, component: a.endpoint.Component, line: "Connection rejected - " + strings.ReplaceAll(bad.Reason, "_", " ") + ": " + bad.Detail}
	}
	u := a.peer.User
	d := room.MayEnter(u, a.peer.Room, func(id room.UserID) *room.User { return a.known[id] })
	if d == nil {
		a.known = nil
		a.tale.Detail(fmt.Sprintf("customer %d, therapist %d", a.peer.Room.Customer, a.peer.Room.Therapist))
		return nil
	}
	line := fmt.Sprintf("Authorization failed - %s %d tried to access %s %d", u.Role, u.ID, d.Side, d.User)
	detail := fmt.Sprintf("%s %d may not enter as %s %d", u.Role, u.ID, d.Side, d.User)
	switch d.Reason {
	case "wrong_role":
		line = fmt.Sprintf("Authorization failed - %s %d tried to connect as %s %d", u.Role, u.ID, d.Side, d.User)
	case "no_such_customer", "no_such_therapist":
		line += ", who does not exist"
		detail = fmt.Sprintf("there is no %s %d", d.Side, d.User)
	}
	return reject(frame.CodeForbidden, d.Reason, detail, a.endpoint.Component, line)
}

func (a *attempt) join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinLimit)
	defer cancel()
	a.consumer = a.endpoint.New(a.peer)
	a.log.Info(a.endpoint.Component, "Room group name: "+a.peer.Room.Group(a.endpoint.Name))
	if err := a.consumer.Join(ctx); err != nil {
		c := &frame.Close{Code: frame.CodeInternal, Reason: "channel_layer_unavailable", Cause: err}
		return &rejection{close: c, component: a.endpoint.Component, line: "Failed to add to channel group: " + err.Error()}
	}
	a.tale.Detail(a.peer.Room.Group(a.endpoint.Name))
	a.log.Info(a.endpoint.Component, "Added to channel group successfully")
	return nil
}

func (a *attempt) accept(context.Context) error {
	u := a.peer.User
	a.log.Info(a.endpoint.Component, fmt.Sprintf("Connection accepted for user %d (role: %s)", u.ID, u.Role))
	return nil
}

func (a *attempt) load(ctx context.Context) error {
	err := a.consumer.Open(ctx)
	if err == nil {
		return nil
	}
	if c, ok := errors.AsType[*frame.Close](err); ok {
		return &rejection{close: c, component: a.endpoint.Component, line: "Failed to read the last positions: " + err.Error()}
	}
	return &rejection{close: unavailableDatabase(err), component: a.endpoint.Component, line: "Database error in get_or_create_conversation: " + err.Error()}
}

// unavailableDatabase is the close of a store that failed, and of a fault of ours
// where it was not the store.
func unavailableDatabase(err error) *frame.Close {
	if errors.Is(err, room.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return &frame.Close{Code: frame.CodeInternal, Reason: "database_unavailable", Cause: err}
	}
	return &frame.Close{Code: frame.CodeInternal, Reason: "internal", Cause: err}
}

func reject(code int, reason, detail, component, line string) error {
	return &rejection{close: &frame.Close{Code: code, Reason: reason, Detail: detail}, component: component, line: line}
}

// logRequest is the first line of every story. A client that says how its last socket
// ended has it said beside what is known of that here.
func (a *attempt) logRequest() {
	var attrs []slog.Attr
	if last := a.query.Get("last_ref"); story.IsRef(last) {
		attrs = append(attrs, slog.String("last_ref", last))
		a.tale.LastRef = last
		code := a.query.Get("last_code")
		a.server.metrics.cameBack(code)
		if isCode(code) {
			attrs = append(attrs, slog.String("last_code", code))
			a.tale.LastCode = code
		}
		if seen := a.cameBack(); seen != "" {
			attrs = append(attrs, slog.String("last_seen", seen))
		}
	}
	a.log.Info(middleware, "Processing connection for path: "+a.tale.Path, attrs...)
}

// cameBack joins the handshake to the story of the client's last socket, and returns
// what this replica has seen of its end. What the client calls an ordinary end needs
// no joining.
func (a *attempt) cameBack() string {
	stories := a.server.options.Stories
	switch code := a.tale.LastCode; {
	case stories == nil, code == "", code == "1000", code == "1001", code == "1012":
		return ""
	}
	before := stories.Returned(a.tale)
	switch {
	case before == nil:
		return ""
	case before.End != nil:
		e := before.End
		return fmt.Sprintf("%d %s by %s after %s", e.Code, e.Reason, e.By, e.Age.Round(time.Millisecond))
	default:
		return fmt.Sprintf("%d %s", before.Code, before.Reason)
	}
}

// isCode reports whether s is a close code: only those are repeated.
func isCode(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(s) == 4
}

func (a *attempt) logAttempt() {
	a.log.Info(a.endpoint.Component, "Connection attempt started")
	if u := a.peer.User; u != nil {
		a.log.Info(a.endpoint.Component, "User authenticated: True, User: "+a.log.Email(u.Email))
	} else {
		a.log.Info(a.endpoint.Component, "User authenticated: False, User: AnonymousUser")
	}
}
