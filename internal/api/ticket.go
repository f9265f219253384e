package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// TicketLife is how long a ticket is good.
const TicketLife = 30 * time.Second

// ticketsPerMinute is how many a user may get: one for each of many sockets that
// come back at once, and not so many that they fill Redis.
const ticketsPerMinute = 60

// Tickets makes tickets. Its errors wrap [room.ErrUnavailable].
type Tickets interface {
	Issue(ctx context.Context, user room.UserID, issued, expires time.Time, life time.Duration) (string, error)
}

// A ticketIssuer answers POST /api/ticket/: it gives a signed-in user a ticket, which
// replaces the token in the query of one handshake. A token in a query would stay
// valid for minutes in every log that has the query.
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
	t.serve(w, r, func(e *exchange) (any, string, *refusal) {
		if e.r.Method != http.MethodPost {
			e.w.Header().Set("Allow", http.MethodPost)
			return nil, "", refuse(http.StatusMethodNotAllowed, "method_not_allowed", "Send a POST.")
		}
		user, claims, no := t.authenticate(e)
		if no != nil {
			return nil, "", no
		}
		bucket := []string{"ticket:" + strconv.FormatInt(int64(user.ID), 10)}
		full, wait, err := t.o.Throttle.Take(e.r.Context(), bucket, []int{ticketsPerMinute})
		switch {
		case err != nil:
			return nil, "", redisAway(err)
		case full >= 0:
			return nil, "", tooMany("ticket", wait, "Too many tickets in a minute; try again after the time in Retry-After.")
		}
		text, err := t.o.Tickets.Issue(e.r.Context(), user.ID, claims.IssuedAt, claims.ExpiresAt, TicketLife)
		if err != nil {
			return nil, "", redisAway(err)
		}
		life := max(0, min(TicketLife, time.Until(claims.ExpiresAt)))
		return ticket{text, int64(life.Round(time.Second) / time.Second)}, "Ticket issued: " + e.user, nil
	})
}
