package inspect_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/inspect"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// get asks the ops listener of a replica, and decodes the answer.
func get[T any](t *testing.T, r *world.Replica, method, path string, status int) (answer T) {
	t.Helper()
	res, body := world.Ask(t, method, r.Ops(path), "")
	if res.StatusCode != status {
		t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, body)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, body)
	}
	return answer
}

// three returns replicas that know each other.
func three(t *testing.T, w *world.World) (a, b, c *world.Replica) {
	t.Helper()
	a, b = w.Pair(t)
	c = w.Ready(t, "c")
	know(t, a, "a", "b", "c")
	return a, b, c
}

// know waits until all of the named replicas answer, and nobody is missing.
func know(t *testing.T, r *world.Replica, names ...string) {
	t.Helper()
	world.Eventually(t, "all replicas answer", func() (bool, any) {
		list := get[inspect.Connections](t, r, http.MethodGet, "/debug/connections", 200)
		return cmp.Equal(list.Replied, names) && len(list.Missing) == 0, list.Fleet
	})
}

func TestSocketsOfAllReplicasAreListed(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b, c := three(t, w)
	chat := a.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", w.Token(t, world.Customer)}, Header: http.Header{"User-Agent": {"okhttp/4.12.0 " + w.Token(t, world.Customer)}}})
	chat.Expect(t, "connected")
	b.Chat(t, world.Therapist)
	c.Location(t, world.Customer)
	list := func(query string) (all inspect.Connections) {
		world.Eventually(t, "every replica answers "+query, func() (bool, any) {
			all = get[inspect.Connections](t, b, http.MethodGet, "/debug/connections"+query, 200)
			return len(all.Missing) == 0 && (len(all.Replied) == 3 || strings.Contains(query, "replica=")), all.Fleet
		})
		return all
	}
	all := list("?sort=user")
	if all.Total != 3 || all.Users != 2 || len(all.Connections) != 3 || all.Asked != "b" {
		t.Fatalf("all: %+v", all)
	}
	own := list("?ref=" + chat.Ref())
	if len(own.Connections) != 1 {
		t.Fatalf("by ref: %+v", own)
	}
	got := own.Connections[0]
	if got.AgeMS < 0 || got.ExpiresInMS < 3_000_000 || got.Address != "127.0.0.1" && !strings.HasPrefix(got.Address, "127.0.0.1:") {
		t.Errorf("age, expiry or address: %+v", got)
	}
	got.AgeMS, got.IdleMS, got.ExpiresInMS, got.Address, got.OutBytes, got.Out = 0, 0, 0, "", 0, 0
	want := inspect.Connection{Replica: "a", Ref: chat.Ref(), User: int64(world.Customer), Role: "customer", Room: "1/2", Endpoint: "chat", Dialect: "roomspa", Client: "okhttp/4.12.0", State: "open"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for query, n := range map[string]int{
		"?user=1": 2, "?user=2": 1, "?user=99": 0, "?room=1/2": 3, "?room=chat_1_2": 3, "?room=2/1": 3, "?room=1/3": 0,
		"?endpoint=location": 1, "?dialect=roomspa": 3, "?dialect=classic": 0, "?replica=c": 1, "?min_age=1h": 0, "?min_queue=1": 0,
		"?address=127.0.0.0/8": 3, "?address=192.0.2.1": 0, "?client=OkHttp": 1, "?state=open": 3, "?user=1&endpoint=chat": 1, "?min_held=1000000": 0,
	} {
		if got := list(query); got.Total != n || len(got.Connections) != n {
			t.Errorf("%s: %d, want %d", query, got.Total, n)
		}
	}
	if got := list("?limit=2"); got.Total != 3 || len(got.Connections) != 2 {
		t.Errorf("limit: %+v", got)
	}
	res, body := world.Ask(t, http.MethodGet, a.Ops("/debug/connections?replica=x"), "")
	if res.StatusCode != 400 || !strings.Contains(string(body), "there are a, b, c") {
		t.Errorf("an unknown replica: %d %s", res.StatusCode, body)
	}
}

func TestAReplicaThatDoesNotAnswerIsNamedWithinASecond(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, _ := w.Pair(t)
	far := w.BehindProxies(t)
	far.Ready(t, "frozen")
	know(t, a, "a", "b", "frozen")
	far.ToRedis.Stall()
	defer far.ToRedis.Heal()
	began := time.Now()
	list := get[inspect.Connections](t, a, http.MethodGet, "/debug/connections", 200)
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	if len(list.Missing) == 0 || list.Missing[len(list.Missing)-1].Replica != "frozen" || !strings.Contains(list.Missing[len(list.Missing)-1].Why, "no answer within 800ms; last heard of ") {
		t.Errorf("missing: %+v", list.Missing)
	}
}

func TestAReplicaWithoutRedisAnswersForItself(t *testing.T) {
	t.Parallel()
	w := world.New(t).BehindProxies(t)
	a, _ := w.Pair(t)
	know(t, a, "a", "b")
	a.Chat(t, world.Customer)
	w.ToRedis.Cut()
	world.Eventually(t, "the replica says why the other one was not asked", func() (bool, any) {
		list := get[inspect.Connections](t, a, http.MethodGet, "/debug/connections", 200)
		return list.Total == 1 && len(list.Missing) == 1 && list.Missing[0].Replica == "b" && strings.Contains(list.Missing[0].Why, "not asked: "), list
	})
}

func TestAReplicaThatHasStoppedIsNotMissed(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b, _ := three(t, w)
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	know(t, a, "a", "c")
}

func TestSocketsAreClosedOnAllReplicas(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	know(t, a, "a", "b")
	here, there, other := a.Chat(t, world.Customer), b.Location(t, world.Customer), b.Chat(t, world.Therapist)
	there.Drain()
	closed := get[inspect.Closed](t, a, http.MethodPost, "/debug/close?user=1", 200)
	if closed.Closed != 2 || closed.Code != 1012 || !cmp.Equal(closed.Replicas, map[string]int{"a": 1, "b": 1}) {
		t.Errorf("closed: %+v", closed)
	}
	for _, s := range []*world.Socket{here, there} {
		s.ExpectRefusal(t, 1012, "closed_by_operator")
	}
	other.ExpectNothing(t)
	for _, r := range []*world.Replica{a, b} {
		waitLine(t, r, `[Audit] Operator closes sockets: 1`, "by=127.0.0.1", `filter="user=1"`)
	}
	for _, query := range []string{"", "?user=", "?usr=1", "?replica=x"} {
		if res, body := world.Ask(t, http.MethodPost, a.Ops("/debug/close"+query), ""); res.StatusCode != 400 {
			t.Errorf("close %q: %d %s", query, res.StatusCode, body)
		}
	}
	other.ExpectNothing(t)
	if res, _ := world.Ask(t, http.MethodGet, a.Ops("/debug/close?user=1"), ""); res.StatusCode != 405 {
		t.Errorf("a GET closes: %d", res.StatusCode)
	}
}

func TestInspectionsNeedTheToken(t *testing.T) {
	t.Parallel()
	const token = "a token of the operators"
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.OpsToken = token })
	for _, request := range []string{"GET /debug/connections", "GET /debug/top", "GET /debug/log", "POST /debug/log?all=true", "DELETE /debug/log?all=true", "GET /debug/trace?user=1", "POST /debug/close?user=1"} {
		method, path, _ := strings.Cut(request, " ")
		for _, header := range []string{"", "Bearer " + token + "s"} {
			if res, body := world.Ask(t, method, r.Ops(path), "", "Authorization", header); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s with %q: %d %s", request, header, res.StatusCode, body)
			}
		}
	}
	if res, body := world.Ask(t, http.MethodGet, r.Ops("/debug/top"), "", "Authorization", "Bearer "+token); res.StatusCode != 200 {
		t.Errorf("with the token: %d %s", res.StatusCode, body)
	}
}

func TestPagesOfOtherSitesCannotCloseSockets(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	for name, headers := range map[string][]string{
		"fetch":  {"Sec-Fetch-Site", "cross-site"},
		"origin": {"Origin", "https://evil.example"},
	} {
		if res, body := world.Ask(t, http.MethodPost, r.Ops("/debug/close?user=1"), "", headers...); res.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "cross_origin") {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
	}
}
