package revocation_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/revocation"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestASignOutThatRedisHasMissedIsKnownFromPostgres(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
	unwatch(t, w)
	a, b := w.Pair(t)
	tokens := a.Login(t, world.Customer, world.Password).Expect(t, 200, "")
	dialing := world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", tokens.Access}}
	here, there := a.Connect(t, dialing), b.Connect(t, dialing)
	here.Expect(t, "connected")
	there.Expect(t, "connected")
	peer := b.Chat(t, world.Therapist)
	if err := w.Redis.Kill(); err != nil {
		t.Fatal(err)
	}
	a.Post(t, "/logout/", m{"refresh_token": tokens.Refresh, "everywhere": true}).Expect(t, 204, "")
	here.ExpectRefusal(t, 4001, "token_revoked") // no Redis is needed for the replica's own
	if err := w.Redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	there.ExpectRefusal(t, 4001, "token_revoked")
	peer.ExpectNothing(t)
}

// unwatch makes Postgres note no changes of users, as if they were a view.
func unwatch(t *testing.T, w *world.World) {
	t.Helper()
	w.Exec(t, "ALTER TABLE roomspa.users DISABLE TRIGGER USER")
}

// request requests a check of users as a command does.
func request(t *testing.T, w *world.World, users ...room.UserID) {
	t.Helper()
	if err := revocation.RequestCheck(users, func(group string, body event.Body) error {
		return channel.Announce(t.Context(), w.OpenRedis(t), group, body)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestADeactivatedUserLosesTheirSockets(t *testing.T) {
	t.Parallel()
	for name, named := range map[string][]room.UserID{"named": {world.Customer, world.Therapist}, "everybody": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.New(t)
			unwatch(t, w)
			a, b := w.Pair(t)
			sockets := []*world.Socket{a.Chat(t, world.Customer), b.Chat(t, world.Customer), b.Location(t, world.Customer)}
			peer := a.Chat(t, world.Therapist)
			w.Exec(t, "UPDATE roomspa.users SET is_active = false WHERE id = $1", world.Customer)
			request(t, w, named...)
			for _, s := range sockets {
				s.ExpectRefusal(t, 4001, "user_inactive")
			}
			peer.ExpectNothing(t)
			a.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).ExpectRefusal(t, 4001, "user_inactive")
		})
	}
}

func TestAnEventClosesNoSocketOfAUserWhomPostgresKnows(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	s := r.Chat(t, world.Customer)
	request(t, w, world.Customer)
	world.Eventually(t, "Postgres is asked", func() (bool, any) {
		n := r.Metric(t, `roomspa_revocation_checks_total{outcome="done"}`)
		return n > 0, n
	})
	s.ExpectNothing(t)
}
