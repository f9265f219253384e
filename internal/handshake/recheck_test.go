package handshake_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/handshake"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
)

// TestWhatAnOpenSocketIsCheckedFor looks at the sockets of customer 1, and of support, in the room of 1 and 2.
func TestWhatAnOpenSocketIsCheckedFor(t *testing.T) {
	t.Parallel()
	s := handshake.New(t.Context(), handshake.Options{}, nil, nil, nil, []endpoint.Endpoint{
		{Name: "room", IDs: endpoint.RoomIDs, Authorize: endpoint.AuthorizeRoom}, {Name: "inbox"},
	}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	issued := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	customer := session.Grant{Endpoint: "room", User: 1, IssuedAt: issued, Role: "customer", IDs: []int64{1, 2}}
	opening, inbox, support := customer, customer, customer
	opening.Role, inbox.Endpoint, support.User, support.Role = "", "inbox", 3, "support"
	for name, c := range map[string]struct {
		grant  session.Grant
		change func(users map[room.UserID]*room.User)
		want   string // "" if the socket stays
	}{
		"nothing":                      {customer, func(map[room.UserID]*room.User) {}, ""},
		"nothing for support":          {support, func(map[room.UserID]*room.User) {}, ""},
		"a sign-out before":            {customer, func(u map[room.UserID]*room.User) { u[1].TokensValidAfter = issued }, ""},
		"a sign-out":                   {customer, func(u map[room.UserID]*room.User) { u[1].TokensValidAfter = issued.Add(time.Second) }, "token_revoked"},
		"deactivated":                  {inbox, func(u map[room.UserID]*room.User) { u[1].Active = false }, "user_inactive"},
		"gone":                         {customer, func(u map[room.UserID]*room.User) { delete(u, 1) }, "user_unknown"},
		"the other one is gone":        {customer, func(u map[room.UserID]*room.User) { delete(u, 2) }, "no_such_therapist"},
		"the other one has a new role": {customer, func(u map[room.UserID]*room.User) { u[2].Role = room.Customer }, "no_such_therapist"},
		"a role that reads all rooms":  {customer, func(u map[room.UserID]*room.User) { u[1].Role = room.Support }, "no_such_customer"},
		"no longer support":            {support, func(u map[room.UserID]*room.User) { u[3].Role = room.Customer }, "not_your_room"},
		"a new role without a room":    {inbox, func(u map[room.UserID]*room.User) { u[1].Role = room.Therapist }, "wrong_role"},
		"a new role in a handshake":    {opening, func(u map[room.UserID]*room.User) { u[1].Role = room.Therapist }, ""},
		"a sign-out in a handshake":    {opening, func(u map[room.UserID]*room.User) { u[1].Active = false }, "user_inactive"},
	} {
		users := map[room.UserID]*room.User{
			1: {ID: 1, Role: room.Customer, Active: true}, 2: {ID: 2, Role: room.Therapist, Active: true}, 3: {ID: 3, Role: room.Support, Active: true},
		}
		c.change(users)
		got := ""
		if end := s.Recheck(c.grant, func(id room.UserID) *room.User { return users[id] }); end != nil {
			got = end.Reason
		}
		if got != c.want {
			t.Errorf("%s: closed with %q, want %q", name, got, c.want)
		}
	}
}
