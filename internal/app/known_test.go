package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/check"
)

// waitKnown waits until /readyz warns of a cause with a text that has all parts, and returns the failures that it lists.
func waitKnown(t *testing.T, r *world.Replica, cause string, parts ...string) (failures []failure.Summary) {
	t.Helper()
	world.Eventually(t, "/readyz warns of "+cause, func() (bool, any) {
		_, answer := r.Readyz(t)
		failures = answer.Failures
		for _, w := range answer.Warnings {
			if w.Cause == cause && w.Advice != "" && containsAll(w.Text, parts) {
				return true, nil
			}
		}
		return false, answer
	})
	return failures
}

func containsAll(text string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// expectFailure fails the test if the failures do not have one of the kind and the cause with at least n cases.
func expectFailure(t *testing.T, failures []failure.Summary, kind, cause string, n int) {
	t.Helper()
	for _, f := range failures {
		if f.Kind == kind && f.Cause == cause && f.Side == failure.Server && f.Count >= n && f.Of >= int64(f.Count) && f.Text != "" && f.Advice != "" {
			return
		}
	}
	t.Errorf("no %d failures %s of %s: %+v", n, cause, kind, failures)
}

// role returns a world whose replicas use a role without the right that the statement takes away.
func role(t *testing.T, revoke string) *world.World {
	t.Helper()
	w := world.New(t, world.OwnPostgres)
	for _, sql := range []string{
		"CREATE ROLE few LOGIN PASSWORD 'few'", "GRANT USAGE ON SCHEMA roomspa TO few", "GRANT ALL ON ALL TABLES IN SCHEMA roomspa TO few",
		"GRANT ALL ON ALL SEQUENCES IN SCHEMA roomspa TO few", revoke,
	} {
		w.Exec(t, sql)
	}
	u, err := url.Parse(w.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	few := *w
	u.User = url.UserPassword("few", "few")
	few.DatabaseURL = u.String()
	return &few
}

func TestAUserWithoutInsertIsKnown(t *testing.T) {
	t.Parallel()
	r := role(t, "REVOKE INSERT ON roomspa.messages FROM few").Ready(t, "a")
	s := r.Chat(t, world.Customer)
	for i := range 5 {
		s.Say(t, "never stored", fmt.Sprint(i))
		f := s.Find(t, "error")
		if f.Code != "database_unavailable" || !strings.HasPrefix(f.Detail, "postgres_permission_denied: ") || !strings.Contains(f.Detail, "until the operators change it") {
			t.Errorf("the sender reads %s", f.Raw)
		}
	}
	failures := waitKnown(t, r, "postgres_permission_denied", "5 of 5 sends of messages failed", "messages")
	expectFailure(t, failures, "send", "postgres_permission_denied", 5)
	if status, answer := r.Readyz(t); status != http.StatusOK || !answer.Ready {
		t.Errorf("it is not ready: %+v", answer)
	}
}

func TestAUserWhoMayNotReadUsersIsKnown(t *testing.T) {
	t.Parallel()
	w := role(t, "REVOKE SELECT ON roomspa.users FROM few")
	r := w.Ready(t, "a")
	for range 3 {
		f := r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).ExpectRefusal(t, 1011, "database_unavailable")
		if !strings.HasPrefix(f.Detail, "postgres_permission_denied: ") {
			t.Errorf("the client reads %s", f.Raw)
		}
	}
	res, body := r.Request(t, http.MethodGet, "/api/conversations/", w.Token(t, world.Customer), "")
	if res.StatusCode != 503 || !strings.Contains(string(body), `"cause":"postgres_permission_denied"`) {
		t.Errorf("the API answers %d %s", res.StatusCode, body)
	}
	failures := waitKnown(t, r, "postgres_permission_denied", "3 of ", " handshakes failed", "users")
	expectFailure(t, failures, "handshake", "postgres_permission_denied", 3)
	expectFailure(t, failures, "rest", "postgres_permission_denied", 1)
}

// TestARedisUserWithoutEvalIsKnown has an ACL as an operator writes it who has forgotten the scripts.
func TestARedisUserWithoutEvalIsKnown(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
	admin := w.RedisClient(t)
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "few", "on", ">password", "~roomspa:*", "&roomspa:*", "+@all", "-eval", "-evalsha").Err(); err != nil {
		t.Fatal(err)
	}
	w.RedisURL, w.RedisPrefix = "redis://few:password@"+w.Redis.Addr()+"/0", "roomspa:"
	r := w.Start(t, "a")
	world.Eventually(t, "the layer is up", func() (bool, any) {
		_, answer := r.Readyz(t)
		return world.Finding(answer, "channel_layer").OK, answer
	})
	refused := r.Login(t, world.Customer, world.Password).Expect(t, 503, "channel_layer_unavailable")
	ticket := r.Post(t, "/api/ticket/", nil, w.Token(t, world.Customer)).Expect(t, 503, "channel_layer_unavailable")
	for _, a := range []world.Answer{refused, ticket} {
		if !strings.HasPrefix(a.Detail, "redis_permission_denied: ") || strings.Contains(a.Detail, "try again") {
			t.Errorf("the client reads %+v", a)
		}
		told, err := ops.Ask(t.Context(), r.OpsAddr(), "", a.Ref)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := told.Print(&b); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"request on replica a", "POST /", "FAILED  count an attempt", "eval", "Failed at: count an attempt", "Cause:     HTTP 503 channel_layer_unavailable: redis_permission_denied", "To do:"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("the story does not say %q:\n%s", want, b.String())
			}
		}
	}
	failures := waitKnown(t, r, "redis_permission_denied", "1 of 1 sign-ins and token refreshes failed", "eval")
	expectFailure(t, failures, "sign_in", "redis_permission_denied", 1)
	expectFailure(t, failures, "ticket", "redis_permission_denied", 1)
}

func TestReplicasWithDifferentRedisNumbersAreKnown(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
	ra := w.Ready(t, "ra")
	rd := w.Ready(t, "rd", func(o *app.Options) { o.RedisURL = strings.TrimSuffix(o.RedisURL, "/0") + "/5"; o.Presence = "off" })
	waitKnown(t, ra, "replicas_differ", "rd (--presence: off, here on; --redis-url: number 5, here number 0)")
	waitKnown(t, rd, "replicas_differ", "ra (--presence: on, here off; --redis-url: number 0, here number 5)")
	if n := ra.Metric(t, "roomspa_replicas_with_other_options"); n != 1 {
		t.Errorf("the metric is %v", n)
	}
	results, ok := check.Run(t.Context(), w.Options(t), check.Selection{})
	f := world.Finding(ops.Readiness{Checks: results}, "replicas")
	if !ok || f.Cause != "replicas_differ" || !strings.Contains(f.Warning, "rd (--presence: off, here on; --redis-url: number 5, here number 0)") || f.Advice == "" || f.Detail != "live in this Postgres: ra, rd; they are compared with these options" {
		t.Errorf("check: %+v", results)
	}
}

func TestAFrozenReplicaIsKnown(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	ra, rb := w.Ready(t, "ra", world.NoRateLimit), w.Serve(t, "rb", world.Program(t))
	world.Eventually(t, "they know each other", func() (bool, any) {
		_, answer := ra.Readyz(t)
		f := world.Finding(answer, "replicas")
		return f.Detail == "other live replicas: 1", f
	})
	if err := syscall.Kill(rb.Process.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(rb.Process.PID(), syscall.SIGCONT) }()
	waitKnown(t, ra, "replica_hung", ": rb (for ")
	if n := ra.Metric(t, "roomspa_replicas_hung"); n != 1 {
		t.Errorf("the metric is %v", n)
	}
	if err := syscall.Kill(rb.Process.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	world.Eventually(t, "the warning ends when it goes on", func() (bool, any) {
		_, answer := ra.Readyz(t)
		return len(answer.Warnings) == 0 && ra.Metric(t, "roomspa_replicas_hung") == 0, answer
	})
}

func TestMissingTrustedProxiesAreKnown(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", func(o *app.Options) { o.LoginPerAccountAddress, o.LoginPerAddress = 3, 4 })
	throttled := 0
	var last world.Answer
	for i := 0; throttled < 3; i++ {
		last = r.Login(t, world.Customer, "wrong", "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i))
		if last.Status == 429 {
			throttled++
		}
	}
	waitKnown(t, r, "trusted_proxies_missing", "from 127.0.0.1 the limits refused 3", "--trusted-proxies")
	world.Eventually(t, "the refusal has a story", func() (bool, any) {
		told, err := ops.Ask(t.Context(), r.OpsAddr(), "", last.Ref)
		return err == nil && told.Failed.Name == "count an attempt" && told.Advice.Cause == "too_many_attempts", err
	})
	trusting := w.Ready(t, "b", world.TrustLoopback, func(o *app.Options) { o.LoginPerAccountAddress, o.LoginPerAddress = 3, 4 })
	for range 12 {
		trusting.Login(t, world.OtherCustomer, "wrong", "X-Forwarded-For", "192.0.2.1")
	}
	_, answer := trusting.Readyz(t)
	for _, warning := range answer.Warnings {
		if warning.Cause == "trusted_proxies_missing" {
			t.Errorf("with trusted proxies: %+v", warning)
		}
	}
}
