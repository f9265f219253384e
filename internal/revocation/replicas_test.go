package revocation_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/revocation"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestASignOutThatRedisHasMissedIsKnownFromPostgres(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
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
	there.ExpectNothing(t)
	if err := w.Redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	there.ExpectRefusal(t, 4001, "token_revoked")
	peer.ExpectNothing(t)
}

// notice publishes a payload of the control group, behind the channel layer's byte.
func notice(t testing.TB, w *world.World, text string) {
	t.Helper()
	if err := w.RedisClient(t).Publish(t.Context(), w.RedisPrefix+"control", "\x01"+text).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestADeactivatedUserLosesTheirSockets(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	sockets := []*world.Socket{a.Chat(t, world.Customer), b.Chat(t, world.Customer), b.Location(t, world.Customer)}
	peer := a.Chat(t, world.Therapist)
	w.Exec(t, "UPDATE roomspa.users SET is_active = false WHERE id = $1", world.Customer)
	notice(t, w, `{"v":1,"kind":"revocation","sender":"other","body":{"type":"deactivated","user":1}}`)
	for _, s := range sockets {
		s.ExpectRefusal(t, 4001, "user_inactive")
	}
	peer.ExpectNothing(t)
	a.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).ExpectRefusal(t, 4001, "user_inactive")
}

func TestANoticeThatIsNotUnderstoodMakesAReplicaLook(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	s, peer := r.Chat(t, world.Customer), r.Chat(t, world.Therapist)
	w.Exec(t, "DELETE FROM roomspa.users WHERE id = $1", world.Customer)
	notice(t, w, `{"v":2,"kind":"revocation","body":{"type":"gone","users":[1]}}`)
	s.ExpectRefusal(t, 4001, "user_unknown")
	peer.ExpectNothing(t)
}

func TestACommandTellsTheReplicasToLook(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	sockets := []*world.Socket{a.Chat(t, world.Customer), b.Location(t, world.Customer)}
	peer := b.Chat(t, world.Therapist)
	w.Exec(t, "UPDATE roomspa.users SET is_active = false WHERE id = $1", world.Customer)
	if err := revocation.RequestCheck(func(group string, payload []byte) error {
		return channel.Announce(t.Context(), w.OpenRedis(t), group, payload)
	}); err != nil {
		t.Fatal(err)
	}
	for _, s := range sockets {
		s.ExpectRefusal(t, 4001, "user_inactive")
	}
	peer.ExpectNothing(t)
}
