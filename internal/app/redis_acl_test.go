package app_test

import (
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/check"
)

// documentedACL returns the arguments of the command in the operating guide that makes a
// user of Redis with as few rights as possible.
func documentedACL(t *testing.T) []string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ACL SETUSER roomspa .*$`).Find(doc)
	if line == nil {
		t.Fatal("docs/operating.md has no line ACL SETUSER roomspa")
	}
	return strings.Fields(string(line))
}

// TestTheDocumentedACLIsEnough runs everything that uses Redis as that user, also with the
// names of one deployment instead of all names of the prefix.
func TestTheDocumentedACLIsEnough(t *testing.T) {
	t.Parallel()
	for name, narrow := range map[string]bool{"all deployments": false, "one deployment": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.New(t, world.OwnRedis)
			admin := w.RedisClient(t)
			w.RedisURL, w.RedisPrefix = "redis://roomspa:password@"+w.Redis.Addr()+"/0", "roomspa:"
			if err := world.Migrate(t.Context(), w.DatabaseURL); err != nil { // gives the copy of a template its own id
				t.Fatal(err)
			}
			var args []any
			for _, a := range documentedACL(t) {
				if narrow {
					id := world.Query[string](t, w, "SELECT id FROM roomspa.deployment")
					switch a {
					case "~roomspa:*":
						a = "~roomspa:" + id + ":*"
					case "&roomspa:*":
						args = append(args, "&roomspa:deployments")
						a = "&roomspa:" + id + ":*"
					}
				}
				args = append(args, a)
			}
			if err := admin.Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(err)
			}
			useRedis(t, w)
			if denied, err := admin.Do(t.Context(), "ACL", "LOG").Slice(); err != nil || len(denied) > 0 {
				t.Errorf("Redis has denied %v, %v", denied, err)
			}
			w.RedisURL = "redis://roomspa:password@" + w.Redis.Addr() + "/0"
			other := w.RedisClient(t)
			if err := other.Get(t.Context(), "another:key").Err(); !goredis.HasErrorPrefix(err, "NOPERM") {
				t.Errorf("a key of another program: %v", err)
			}
		})
	}
}

// useRedis makes two replicas use Redis in every way.
func useRedis(t *testing.T, w *world.World) {
	t.Helper()
	a, b := w.Pair(t)
	from, to := a.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	from.Deliver(t, "text", "1")
	to.ExpectMessages(t, 0, 1)
	position, follower := a.Location(t, world.Therapist), b.Location(t, world.Customer)
	for _, p := range []string{`{"latitude":1,"longitude":2}`, `{"latitude":3,"longitude":4,"recorded_at":"2026-01-02T03:04:05Z"}`} {
		position.Send(t, p)
		follower.Expect(t, "location_update")
	}
	if f := b.Location(t, world.Customer).Expect(t, "location_update"); *f.Latitude != 3 {
		t.Errorf("the stored position is %s", f.Raw)
	}
	a.Login(t, world.Customer, "wrong").Expect(t, 401, "bad_credentials")
	tokens := a.Login(t, world.Customer, world.Password).Expect(t, 200, "")
	ticket := a.Post(t, "/api/ticket/", nil, tokens.Access).Expect(t, 200, "").Ticket
	b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"ticket": {ticket}}}).Expect(t, "connected")
	refused := a.ConnectAs(t, world.Customer, "/ws/chat/3/4/", nil)
	refused.ExpectRefusal(t, 4003, "not_your_room")
	world.Eventually(t, "another replica tells the story", func() (bool, any) {
		status, _, _ := world.Get(t, b.Ops("/debug/stories/"+refused.Ref()))
		return status == 200, status
	})
	a.Post(t, "/logout/", m{"refresh_token": tokens.Refresh, "everywhere": true}).Expect(t, 204, "")
	for _, r := range []*world.Replica{a, b} {
		status, answer := r.Readyz(t)
		if f := world.Finding(answer, "redis"); status != 200 || f.Warning != "" {
			t.Errorf("/readyz: %+v", answer)
		}
	}
	if _, err := w.OpenRedis(t).Stories.Find(t.Context(), refused.Ref()); err != nil {
		t.Errorf("as a command: %v", err)
	}
}

// TestAnACLThatDeniesScriptsIsFoundBeforeASignIn takes the scripts away, which only sign-ins need.
func TestAnACLThatDeniesScriptsIsFoundBeforeASignIn(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
	admin := w.RedisClient(t)
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "few", "on", ">password", "~roomspa:*", "&roomspa:*", "+@all", "-@scripting").Err(); err != nil {
		t.Fatal(err)
	}
	w.RedisURL, w.RedisPrefix = "redis://few:password@"+w.Redis.Addr()+"/0", "roomspa:"
	results, ok := check.Run(t.Context(), w.Options(t), check.Selection{Redis: true})
	if r := results[1]; ok || r.Cause != "redis_permission_denied" || !strings.Contains(r.Error, "ACL SETUSER few +eval +evalsha") {
		t.Errorf("check: %+v", results)
	}
	r := w.Start(t, "a")
	r.WaitUnready(t, "redis", "EVAL")
	refused := r.Login(t, world.Customer, world.Password).Expect(t, 503, "channel_layer_unavailable")
	if !strings.Contains(refused.Detail, "refuses") {
		t.Errorf("the answer: %+v", refused)
	}
	if err := w.Redis.Kill(); err != nil {
		t.Fatal(err)
	}
	world.Eventually(t, "a Redis that is away is told apart", func() (bool, any) {
		away := r.Login(t, world.Customer, world.Password).Expect(t, 503, "channel_layer_unavailable")
		return strings.Contains(away.Detail, "unavailable"), away
	})
}

func TestAnUndeclaredClusterKeepsTheReplicaUnready(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.RedisURL = world.RedisCluster(t).Nodes[0].URL()
	results, ok := check.Run(t.Context(), w.Options(t), check.Selection{Redis: true})
	if r := results[0]; ok || r.Cause != "redis_is_cluster" || !strings.Contains(r.Advice, "--redis-mode cluster") {
		t.Errorf("check: %+v", results)
	}
	w.Start(t, "a").WaitUnready(t, "redis", "is a cluster")
}
