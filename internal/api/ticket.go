package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// TicketLife is the lifetime of a ticket.
const TicketLife = 30 * time.Second

// ticketsPerMinute is the limit of tickets for one user: enough for many sockets that reconnect
// at the same time, but too few to fill Redis.
const ticketsPerMinute = 60

// Tickets issues tickets. Its errors wrap [room.ErrUnavailable].
type Tickets interface {
	Issue(ctx context.Context, user room.UserID, issued, expires time.Time, life time.Duration) (string, error)
}

// A ticketIssuer serves POST /api/ticket/. It issues a ticket, which replaces the token in the
// query of one handshake. Queries end up in access logs, where a token would be valid for
// minutes.
type ticketIssuer struct {
	base

	o Options
	authenticator
}

type ticket struct {
	Ticket    string `json:"ticket"`
	ExpiresIn int64  `json:"expires_in"` // seconds
}

func (t *ticketIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.serve(w, r, func(e *exchange) (any, string, *failure) {
		if fail := requirePost(e.w, e.r); fail != nil {
			return nil, "", fail
		}
		user, claims, fail := t.authenticate(e)
		if fail != nil {
			return nil, "", fail
		}
		bucket := []string{"ticket:" + strconv.FormatInt(int64(user.ID), 10)}
		e.step("count an attempt")
		full, wait, err := t.o.Throttle.Take(e.r.Context(), bucket, []int{ticketsPerMinute})
		switch {
		case err != nil:
			return nil, "", redisUnavailable(err)
		case full >= 0:
			return nil, "", tooManyAttempts("ticket", wait, "Too many tickets within a minute; try again after the time in Retry-After.")
		}
		e.step("issue the ticket")
		text, err := t.o.Tickets.Issue(e.r.Context(), user.ID, claims.IssuedAt, claims.ExpiresAt, TicketLife)
		if err != nil {
			return nil, "", redisUnavailable(err)
		}
		life := max(0, min(TicketLife, time.Until(claims.ExpiresAt)))
		return ticket{text, int64(life.Round(time.Second) / time.Second)}, "Ticket issued: " + e.user, nil
	})
}
