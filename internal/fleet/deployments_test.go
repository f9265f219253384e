package fleet_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/revocation"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// neighbours returns two worlds, each with a database and the same users, that share a Redis
// and the prefix. The second one uses another database number if that is given.
func neighbours(t *testing.T, database string) (one, other *world.World) {
	t.Helper()
	one, other = world.New(t, world.OwnRedis), world.New(t)
	u, err := url.Parse(one.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	if database != "" {
		u.Path = "/" + database
	}
	other.RedisURL, other.RedisPrefix = u.String(), one.RedisPrefix
	return one, other
}

func fewSignIns(o *app.Options) {
	o.LoginPerAccountAddress, o.LoginPerAddress, o.LoginPerAccount = 3, 100, 100
}

// deploymentID returns the id of the deployment of a world with replicas.
func deploymentID(t *testing.T, w *world.World) string {
	t.Helper()
	return world.Query[string](t, w, "SELECT id FROM roomspa.deployment")
}

// TestTwoDeploymentsOnOneRedis have the same users and rooms, and are apart all the same.
func TestTwoDeploymentsOnOneRedis(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]string{"with one database number": "", "with two database numbers": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other := neighbours(t, database)
			elsewhere := *world.New(t)
			elsewhere.RedisURL, elsewhere.RedisPrefix = one.RedisURL, "elsewhere:"
			a, b := one.Pair(t, fewSignIns)
			x := other.Ready(t, "x", fewSignIns)
			alone := elsewhere.Ready(t, "alone")
			if deploymentID(t, one) == deploymentID(t, other) {
				t.Fatal("two databases have the same deployment id")
			}
			messagesStayApart(t, a, b, x)
			positionsStayApart(t, a, b, x)
			ticketsStayApart(t, a, b, x)
			storiesStayApart(t, a, b, x)
			signOutsStayApart(t, a, b, x)
			signInLimitsStayApart(t, a, b, x)
			eachNamesTheOther(t, a, b, x)
			expectNoWarning(t, alone)
			if n := alone.Metric(t, "roomspa_other_deployments"); n != 0 {
				t.Errorf("with another prefix the metric is %v", n)
			}
			for _, r := range []*world.Replica{a, b, x, alone} {
				expectNothingDropped(t, r)
			}
			theFindingEnds(t, a, x)
		})
	}
}

// expectNothingDropped fails the test if a replica has received something that it cannot use.
func expectNothingDropped(t *testing.T, r *world.Replica) {
	t.Helper()
	for _, reason := range []string{"stale", "unknown", "not_authentic", "unknown_key"} {
		if n := r.Metric(t, `roomspa_events_dropped_total{reason="`+reason+`"}`); n != 0 {
			t.Errorf("%v events were dropped: %s", n, reason)
		}
	}
}

// messagesStayApart sends messages in the same room of both deployments. What is published
// first would arrive first, so nothing is on its way when the own message has come.
func messagesStayApart(t *testing.T, a, b, x *world.Replica) {
	t.Helper()
	here, there := []*world.Socket{a.Chat(t, world.Customer), b.Chat(t, world.Therapist)}, []*world.Socket{x.Chat(t, world.Customer), x.Chat(t, world.Therapist)}
	for _, id := range []string{"1", "2", "3"} {
		here[0].Deliver(t, "of one", id)
	}
	there[1].Deliver(t, "of the other", "1")
	expect := func(sockets []*world.Socket, n int, text string) {
		for _, s := range sockets {
			for _, m := range s.ExpectMessages(t, 0, n) {
				if m.Text != text {
					t.Errorf("got %q, want %q", m.Text, text)
				}
			}
			s.ExpectNothing(t)
		}
	}
	expect(here[1:], 3, "of one") // here[0] has the same, before its acks
	expect(there[:1], 1, "of the other")
}

func positionsStayApart(t *testing.T, a, b, x *world.Replica) {
	t.Helper()
	here, watch, there := a.Location(t, world.Therapist), b.Location(t, world.Customer), x.Location(t, world.Customer)
	here.Send(t, `{"latitude":1,"longitude":2}`)
	here.Expect(t, "location_update")
	watch.Expect(t, "location_update")
	there.ExpectNothing(t)
	late := x.Location(t, world.Customer)
	late.ExpectNothing(t) // nothing is stored for this deployment
	if f := b.Location(t, world.Customer).Expect(t, "location_update"); *f.Latitude != 1 {
		t.Errorf("the stored position is %s", f.Raw)
	}
	from := x.Location(t, world.Therapist)
	from.Send(t, `{"latitude":3,"longitude":4}`)
	for _, s := range []*world.Socket{there, late} {
		if f := s.Expect(t, "location_update"); *f.Latitude != 3 {
			t.Errorf("got %s", f.Raw)
		}
	}
	watch.ExpectNothing(t)
}

// ticketsStayApart redeems a ticket at the other deployment, where it is unknown, and then
// at its own: the attempt has not used it up.
func ticketsStayApart(t *testing.T, a, b, x *world.Replica) {
	t.Helper()
	ticket := a.Post(t, "/api/ticket/", nil, a.World.Token(t, world.Customer)).Expect(t, 200, "").Ticket
	redeem := world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"ticket": {ticket}}}
	x.Connect(t, redeem).ExpectRefusal(t, 4001, "token_invalid")
	b.Connect(t, redeem).Expect(t, "connected")
}

func storiesStayApart(t *testing.T, a, b, x *world.Replica) {
	t.Helper()
	s := a.ConnectAs(t, world.Customer, "/ws/chat/3/4/", nil)
	s.ExpectRefusal(t, 4003, "not_your_room")
	status := func(r *world.Replica) int {
		status, _, _ := world.Get(t, r.Ops("/debug/stories/"+s.Ref()))
		return status
	}
	world.Eventually(t, "another replica of the deployment tells the story", func() (bool, any) {
		got := status(b)
		return got == 200, got
	})
	if got := status(x); got != 404 {
		t.Errorf("the other deployment answers %d", got)
	}
}

// signOutsStayApart deactivates a user in one deployment. The other one does not even hear
// of it: the only request that it hears is its own.
func signOutsStayApart(t *testing.T, a, b, x *world.Replica) {
	t.Helper()
	here, there := b.Chat(t, world.Customer), x.Chat(t, world.Customer)
	a.World.Exec(t, "UPDATE roomspa.users SET is_active = false WHERE id = $1", world.Customer)
	request := func(w *world.World) {
		client := w.OpenRedis(t)
		if err := revocation.RequestCheck([]room.UserID{world.Customer}, func(group string, body event.Body) error {
			return channel.Announce(t.Context(), client, group, body)
		}); err != nil {
			t.Fatal(err)
		}
	}
	request(a.World)
	here.ExpectRefusal(t, 4001, "user_inactive")
	request(x.World)
	world.Eventually(t, "the other deployment hears of its own request alone", func() (bool, any) {
		n := x.Metric(t, `roomspa_revocation_notices_total{outcome="heard",type="users"}`)
		return n == 1, n
	})
	there.ExpectNothing(t)
	a.World.Exec(t, "UPDATE roomspa.users SET is_active = true WHERE id = $1", world.Customer)
}

// signInLimitsStayApart uses up the limit of an account at one deployment.
func signInLimitsStayApart(t *testing.T, a, b, x *world.Replica) {
	t.Helper()
	for a.Login(t, world.OtherCustomer, "wrong").Status != 429 {
	}
	b.Login(t, world.OtherCustomer, world.Password).Expect(t, 429, "too_many_attempts") // Redis counts for both
	x.Login(t, world.OtherCustomer, "wrong").Expect(t, 401, "bad_credentials")
	x.Login(t, world.OtherCustomer, world.Password).Expect(t, 200, "")
}

func eachNamesTheOther(t *testing.T, a, b, x *world.Replica) {
	t.Helper()
	one, other := deploymentID(t, a.World), deploymentID(t, x.World)
	for r, c := range map[*world.Replica]struct{ names, live string }{
		a: {other, "other live replicas: 1"}, b: {other, "other live replicas: 1"}, x: {one, "other live replicas: 0"},
	} {
		waitWarning(t, r, "redis_shared", c.names)
		if n := r.Metric(t, "roomspa_other_deployments"); n != 1 {
			t.Errorf("the metric is %v", n)
		}
		const line = `level=WARNING msg="[Replicas] Redis shared: another deployment uses the same Redis with the same prefix: `
		if log := r.Log.String(); strings.Count(log, line+c.names+`"`) != 1 || strings.Count(log, "Redis shared") != 1 {
			t.Errorf("the log does not say once that %s uses the same Redis", c.names)
		}
		world.Eventually(t, "it counts the replicas of its own deployment", func() (bool, any) {
			_, answer := r.Readyz(t)
			return world.Finding(answer, "replicas").Detail == c.live, answer
		})
	}
	if n, m := a.Metric(t, "roomspa_replicas"), x.Metric(t, "roomspa_replicas"); n != 2 || m != 1 {
		t.Errorf("the replicas that rebalance are %v and %v", n, m)
	}
}

// theFindingEnds when the other deployment has stopped.
func theFindingEnds(t *testing.T, a, x *world.Replica) {
	t.Helper()
	if err := x.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	world.Eventually(t, "the finding ends", func() (bool, any) {
		_, answer := a.Readyz(t)
		f := world.Finding(answer, "replicas")
		return f.Cause == "" && f.Warning == "" && a.Metric(t, "roomspa_other_deployments") == 0 &&
			strings.Contains(a.Log.String(), `level=INFO msg="[Replicas] Redis no longer shared with another deployment"`), answer
	})
}
