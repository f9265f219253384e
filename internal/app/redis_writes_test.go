package app_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// refusals are ways in which a Redis answers and refuses what writes, and how each ends.
var refusals = map[string]struct {
	cause   string
	begin   [][]any
	end     [][]any
	isBegun string // a reply to SET begins with it
}{
	"maxmemory": {"redis_out_of_memory", [][]any{{"CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1"}}, [][]any{{"CONFIG", "SET", "maxmemory", "0"}}, "OOM"},
	"a snapshot that fails": {
		"redis_cannot_save",
		[][]any{{"CONFIG", "SET", "save", "3600 1000000", "dir", "/proc"}, {"BGSAVE"}},
		[][]any{{"CONFIG", "SET", "save", "", "dir", "/tmp"}},
		"MISCONF",
	},
	"too few replicas": {"redis_no_replicas", [][]any{{"CONFIG", "SET", "min-replicas-to-write", "1"}}, [][]any{{"CONFIG", "SET", "min-replicas-to-write", "0"}}, "NOREPLICAS"},
	"a replica":        {"redis_read_only", [][]any{{"REPLICAOF", "127.0.0.1", "1"}}, [][]any{{"REPLICAOF", "NO", "ONE"}}, "READONLY"},
}

// TestARedisThatRefusesWrites costs what has to write, and nothing else: sign-ins with a password
// and tickets are refused with the cause, and work again without a restart.
func TestARedisThatRefusesWrites(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("a directory in which Redis cannot save is needed")
	}
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.New(t)
			w.Redis = world.StartRedis(t, map[string]string{"enable-protected-configs": "yes"})
			w.RedisURL = w.Redis.URL()
			admin := w.RedisClient(t)
			do := func(commands [][]any) {
				t.Helper()
				for _, command := range commands {
					if err := admin.Do(t.Context(), command...).Err(); err != nil {
						t.Fatal(command, err)
					}
				}
			}
			a, b := w.Pair(t)
			from, to := a.Chat(t, world.Customer), b.Chat(t, world.Therapist)
			position, follower := a.Location(t, world.Therapist), b.Location(t, world.Customer)
			tokens := a.Login(t, world.Customer, world.Password).Expect(t, 200, "")
			known := cause.Cure(c.cause) != ""

			do(c.begin)
			world.Eventually(t, "Redis refuses to write", func() (bool, any) {
				err := admin.Set(t.Context(), "own:x", "y", 0).Err()
				return goredis.HasErrorPrefix(err, c.isBegun), err
			})
			last := from.Deliver(t, "one", "1")
			for _, r := range []*world.Replica{a, b} {
				world.Eventually(t, "/readyz warns", func() (bool, any) {
					status, answer := r.Readyz(t)
					f := world.Finding(answer, "redis")
					return status == 200 && (f.Cause == c.cause || !known) && strings.Contains(f.Warning, c.isBegun) && f.Advice != "", answer
				})
			}
			to.ExpectMessages(t, 0, 1)
			position.Send(t, `{"latitude":1,"longitude":2}`)
			follower.Expect(t, "location_update")
			a.Post(t, "/api/location/1/2/", world.Object{"latitude": 3, "longitude": 4}, w.Token(t, world.Therapist)).Expect(t, 200, "")
			follower.Expect(t, "location_update")
			later := w.Ready(t, "c") // a replica that starts meanwhile
			later.Chat(t, world.Customer)
			again := b.Chat(t, world.Customer)
			from.Deliver(t, "two", "2")
			again.ExpectMessages(t, last.Seq, 1)
			b.Location(t, world.Customer)
			if res, body := a.Request(t, http.MethodGet, "/api/conversations/", tokens.Access, ""); res.StatusCode != 200 {
				t.Errorf("conversations: %d %s", res.StatusCode, body)
			}
			refreshed := a.Refresh(t, tokens.Refresh).Expect(t, 200, "")
			for what, refused := range map[string]world.Answer{
				"sign-in": a.Login(t, world.Customer, world.Password), "ticket": a.Post(t, "/api/ticket/", nil, refreshed.Access),
			} {
				if refused.Expect(t, 503, "channel_layer_unavailable"); known && !strings.Contains(refused.Detail, "Redis refuses") {
					t.Errorf("%s: %s", what, refused.Detail)
				}
			}

			do(c.end)
			if c.isBegun == "MISCONF" {
				do([][]any{{"CONFIG", "SET", "save", "3600 1000000"}, {"BGSAVE"}})
			}
			world.Eventually(t, "everything works", func() (bool, any) {
				answer := a.Login(t, world.Customer, world.Password)
				return answer.Status == 200, answer
			})
			ticket := a.Post(t, "/api/ticket/", nil, refreshed.Access).Expect(t, 200, "").Ticket
			b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"ticket": {ticket}}}).Expect(t, "connected")
			if _, answer := a.Readyz(t); world.Finding(answer, "redis").Warning != "" {
				t.Errorf("/readyz: %+v", answer)
			}
		})
	}
}
