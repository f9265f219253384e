package handshake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
)

// middleware is the log component of everything that concerns tokens and users.
const middleware = "JWTAuthMiddleware"

// findToken takes the token or the ticket, or both, from the request.
func (a *attempt) findToken(context.Context) error {
	ticket, err := auth.TicketFromRequest(a.request)
	if err != nil {
		return a.rejectToken(err)
	}
	token, err := tokenFromRequest(a.request, a.query, a.peer.Classic)
	if r, ok := errors.AsType[*auth.Refusal](err); ok && r.Reason == auth.TokenMissing && ticket != "" {
		err = nil
	}
	if err != nil {
		return a.rejectToken(err)
	}
	a.token, a.ticket = token, ticket
	if token != "" {
		a.story.Detail(fmt.Sprintf("a token of %d bytes", len(token)))
		a.log.Info(middleware, "Token found: "+auth.Redact(token))
	}
	if ticket != "" {
		a.story.Detail(fmt.Sprintf("a ticket of %d bytes", len(ticket)))
		a.log.Info(middleware, fmt.Sprintf("Ticket found: %d bytes", len(ticket)))
	}
	return nil
}

// tokenFromRequest returns the token of the request. A classic client may send two: the
// predecessor looked at the header only if the query has none.
func tokenFromRequest(r *http.Request, query url.Values, classic bool) (string, error) {
	if token := query.Get("token"); classic && token != "" {
		return token, nil
	}
	return auth.FromRequest(r) //nolint:wrapcheck // a refusal
}

// slowDown holds a handshake back that shows no valid token, if its client's network causes too
// many of them. A ticket counts as valid until it is looked up. The error means that the client
// has left.
func (s *Server) slowDown(e *endpoint.Endpoint, r *http.Request, query url.Values, classic bool, remote string) error {
	limits := s.options.Limits
	if e.Anonymous {
		return limits.SlowDownAnonymous(r.Context(), remote) //nolint:wrapcheck // not reported
	}
	if !limits.Slow(remote) {
		return nil
	}
	if ticket, err := auth.TicketFromRequest(r); err == nil && ticket != "" {
		return nil
	}
	token, err := tokenFromRequest(r, query, classic)
	if err == nil {
		_, err = s.tokens.Verify(token, time.Now())
	}
	if err == nil {
		return nil
	}
	return limits.SlowDownRefusal(r.Context(), remote) //nolint:wrapcheck // not reported
}

// decodeToken verifies the token and redeems the ticket. If both came, they must
// belong to the same user.
func (a *attempt) decodeToken(ctx context.Context) error {
	var claims auth.Claims
	if a.token != "" {
		var err error
		if claims, err = a.server.tokens.Verify(a.token, time.Now()); err != nil {
			return a.rejectToken(err)
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
		} else if err := auth.CheckSameUser(redeemed, claims); err != nil {
			return a.rejectToken(err)
		}
	}
	a.claims, a.token, a.ticket = claims, "", ""
	a.story.User = int64(claims.UserID)
	a.story.Detail(fmt.Sprintf("user %d, expires %s", claims.UserID, claims.ExpiresAt.UTC().Format(time.RFC3339)))
	// Before the user is loaded: the row that is read may be older than a sign-out that
	// happens now, and from here on a sign-out ends the session.
	a.socket.Authenticate(session.Token{User: int64(claims.UserID), IssuedAt: claims.IssuedAt, ExpiresAt: claims.ExpiresAt})
	return nil
}

// redeem exchanges the ticket for the claims of its token. The ticket is used up,
// even if the handshake fails later.
func (a *attempt) redeem(ctx context.Context) (c auth.Claims, err error) {
	c.UserID, c.IssuedAt, c.ExpiresAt, err = a.server.options.Tickets.Redeem(ctx, a.ticket)
	switch {
	case errors.Is(err, room.ErrNotFound):
		return c, a.rejectToken(auth.BadTicket())
	case err != nil:
		why := "Redis cannot be reached"
		if cause.IsRefusal(err) {
			why = "Redis refuses it"
		}
		return c, &endpoint.Rejection{
			Close: &frame.Close{
				Code: frame.CodeInternal, Reason: "channel_layer_unavailable", Cause: err,
				Detail: "The ticket cannot be looked up, since " + why + "; connect again, with a new ticket or a token.",
			},
			Component: middleware, Line: "Failed to redeem ticket: " + err.Error(),
		}
	}
	a.log.Info(middleware, fmt.Sprintf("Ticket redeemed, user_id: %d", c.UserID))
	return c, nil
}

// rejectToken returns the rejection for a refused token. Any other error is returned
// as it is.
func (a *attempt) rejectToken(err error) error {
	refusal, ok := errors.AsType[*auth.Refusal](err)
	if !ok {
		return err
	}
	if refusal.User != 0 {
		a.story.User = int64(refusal.User)
	}
	r := rejectUser(refusal.Reason, "Invalid token: "+refusal.Report())
	r.Close.Detail, r.Report = refusal.Error(), refusal.Report()
	switch refusal.Reason {
	case auth.TokenMissing:
		r.Line = "No token provided"
	case auth.TokenInvalid:
		r.Cause = refusal.Word
		if refusal.Refresh {
			a.server.metrics.refreshes.Inc()
		}
	}
	return r
}

// loadUser loads the user of the token. The same query loads the users that the path
// names, for the step that authorizes.
func (a *attempt) loadUser(ctx context.Context) error {
	id := a.claims.UserID
	ids := append(make([]room.UserID, 0, 1+len(a.segments)), id)
	var path []int64
	for _, segment := range a.segments {
		other, ok := room.ParseUserID(segment)
		if !ok {
			continue // refused later
		}
		if path = append(path, int64(other)); other != id {
			ids = append(ids, other)
		}
	}
	a.socket.Admit("", path)
	var err error
	if a.known, err = a.server.users.Users(ctx, ids); err != nil {
		r := endpoint.DatabaseError("get_user", err)
		r.Component = middleware
		return r
	}
	u := a.known[id]
	switch reason := u.Refuses(a.claims.IssuedAt); reason {
	case "":
	case "user_unknown":
		return rejectUser(reason, fmt.Sprintf("User not found: %d", id))
	case "user_inactive":
		return rejectUser(reason, "User inactive: "+a.describe(u))
	default:
		return rejectUser(reason, "Invalid token: token_revoked: issued before the user signed out everywhere at "+u.TokensValidAfter.UTC().Format(time.RFC3339))
	}
	if a.socket.TooManySockets() {
		return &endpoint.Rejection{
			Close:     &frame.Close{Code: frame.CodeForbidden, Reason: "too_many_sockets", Detail: "the user has as many sockets on this replica as allowed; close one before you open another"},
			Component: middleware, Line: fmt.Sprintf("Too many sockets of user %d (--user-sockets)", u.ID),
		}
	}
	a.socket.Admit(string(u.Role), path)
	if u.Role == room.Support || a.server.logged.Allow() {
		a.log.Release()
	} else {
		a.log.Hold()
	}
	a.peer.User = u
	a.story.Role = string(u.Role)
	a.story.Detail(fmt.Sprintf("user %d, %s", u.ID, u.Role))
	a.log.Info(middleware, "User found: "+a.describe(u))
	a.log.Info(middleware, fmt.Sprintf("User authenticated: %d (%s)", u.ID, a.log.Email(u.Contact())))
	return nil
}

func (a *attempt) describe(u *room.User) string {
	return fmt.Sprintf("%d - %s (role: %s)", u.ID, a.log.Email(u.Contact()), u.Role)
}

// rejectUser returns the rejection of a client that is not authenticated.
func rejectUser(reason, line string) *endpoint.Rejection {
	return &endpoint.Rejection{Close: &frame.Close{Code: frame.CodeIdentity, Reason: reason}, Component: middleware, Line: line}
}
