package location_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// post sends a body of positions, and returns the answer's status and body.
func post(t *testing.T, r *world.Replica, as room.UserID, path, body string) (int, string) {
	t.Helper()
	res, answer := r.Request(t, http.MethodPost, path, r.World.Token(t, as), body, "Content-Type", "application/json")
	return res.StatusCode, strings.TrimSpace(string(answer))
}

const httpPath = "/api/location/1/2/"

// at returns a position that was recorded some seconds after the begin of a year.
func at(latitude int, second int) string {
	recorded := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second)
	return fmt.Sprintf(`{"latitude":%d,"longitude":0,"recorded_at":%q}`, latitude, recorded.Format(time.RFC3339))
}

func TestPositionsByHTTP(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	to := b.Location(t, world.Customer)
	for i, c := range []struct {
		replica      *world.Replica
		body, answer string
		latitude     string // of the one that is published; "" if none is
	}{
		{a, at(1, 10), `{"accepted":1,"outdated":0}`, "1.0"},
		{b, at(2, 9), `{"accepted":0,"outdated":1}`, ""}, // on another replica
		{a, `{"positions":[` + at(3, 11) + `,` + at(4, 13) + `,` + at(5, 12) + `]}`, `{"accepted":3,"outdated":0}`, "4.0"},
		{
			b, `{"positions":[` + at(6, 15) + `,{"latitude":91},` + at(7, 1) + `]}`,
			`{"accepted":1,"outdated":1,"refused":[{"index":1,"code":"out_of_range","field":"latitude","detail":"latitude must be between -90 and 90 degrees"}]}`, "6.0",
		},
		{a, at(6, 15), `{"accepted":1,"outdated":0}`, "6.0"}, // sent again
		{a, `{"positions":[` + at(8, 20) + `,{"latitude":9,"longitude":0,"heading":-1,"speed":null},` + at(10, 19) + `]}`, `{"accepted":3,"outdated":0}`, "9.0"},
		{b, "\ufeff" + at(11, 5), `{"accepted":1,"outdated":0}`, "11.0"}, // the one before had no time
		{b, `{"latitude":12,"longitude":0,"recorded_at":"9999-01-01T00:00:00Z"}`, `{"accepted":1,"outdated":0}`, "12.0"},
		{a, at(13, 6), `{"accepted":1,"outdated":0}`, "13.0"}, // a clock that is ahead freezes nothing
	} {
		status, answer := post(t, c.replica, world.Therapist, httpPath, c.body)
		if status != 200 || answer != c.answer {
			t.Errorf("%d: answered with %d %s, want %s", i, status, answer, c.answer)
		}
		if c.latitude == "" {
			to.ExpectNothing(t)
			continue
		}
		g := to.Expect(t, "location_update")
		if !strings.Contains(g.Raw, `"user_id":2,"role":"therapist","latitude":`+c.latitude+`,"longitude":0.0`) || strings.Contains(g.Raw, "heading") {
			t.Errorf("%d: published %s, want latitude %s", i, g.Raw, c.latitude)
		}
		lastIs(t, a, strings.TrimSuffix(c.latitude, ".0"))
	}
	// Other devices have an order of their own.
	phone := a.Location(t, world.Therapist)
	phone.Send(t, at(20, 0))
	if g := to.Expect(t, "location_update"); *g.Latitude != 20 {
		t.Errorf("from the socket came %s", g.Raw)
	}
}

func TestPositionsByHTTPAreRefusedLikeOnASocket(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	strict := w.Ready(t, "b", func(o *app.Options) { o.LocationFrom = "therapist" })
	to := r.Location(t, world.Customer)
	good := at(1, 1)
	for _, c := range []struct {
		replica    *world.Replica
		as         room.UserID
		path, body string
		status     int
		code       string
	}{
		{r, world.Support, httpPath, good, 403, "wrong_role"},
		{strict, world.Customer, httpPath, good, 403, "wrong_role"},
		{r, world.OtherCustomer, httpPath, good, 403, "not_your_room"},
		{r, world.Customer, "/api/location/2/1/", good, 403, "wrong_role"},
		{r, world.Customer, "/api/location/1/99", good, 403, "no_such_therapist"},
		{r, world.Customer, "/api/location/01/2/", good, 400, "bad_field"},
		{r, world.Customer, "/api/location/1/", good, 404, "no_such_path"},
		{r, world.Customer, "/api/location//2/", good, 404, "no_such_path"},
		{r, world.Customer, httpPath, `{}`, 400, "missing_field"},
		{r, world.Customer, httpPath, `{"positions":null}`, 400, "missing_field"},
		{r, world.Customer, httpPath, `{"positions":[]}`, 400, "bad_field"},
		{r, world.Customer, httpPath, `{"positions":7}`, 400, "bad_field"},
		{r, world.Customer, httpPath, `{"positions":[7]}`, 400, "bad_json"},
		{r, world.Customer, httpPath, `{"positions":[` + strings.Repeat(good+",", 100) + good + `]}`, 400, "bad_field"},
		{r, world.Customer, httpPath, `[` + good + `]`, 400, "bad_json"},
		{r, world.Customer, httpPath, `{"latitude":1,"longitude":1,"accuracy":-1}`, 400, "out_of_range"},
		{r, world.Customer, httpPath, `{"type":"ping"}`, 400, "unknown_type"},
	} {
		if status, answer := post(t, c.replica, c.as, c.path, c.body); status != c.status || !strings.Contains(answer, `"code":"`+c.code+`"`) {
			t.Errorf("%d %s %.80s: answered with %d %s, want %d %s", c.as, c.path, c.body, status, answer, c.status, c.code)
		}
	}
	to.ExpectNothing(t)
	if status, answer := post(t, r, world.Customer, httpPath, `{"positions":[`+strings.Repeat(good+",", 99)+good+`]}`); status != 200 || answer != `{"accepted":100,"outdated":0}` {
		t.Errorf("100 positions: %d %s", status, answer)
	}
	to.Expect(t, "location_update")
}

func TestPositionsByHTTPAfterABlock(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	r.Chat(t, world.Customer) // a block needs a conversation
	if res, body := r.Request(t, http.MethodPost, "/api/users/2/block/", w.Token(t, world.Customer), "", "Content-Type", "application/json"); res.StatusCode != 204 {
		t.Fatalf("block: %d %s", res.StatusCode, body)
	}
	if status, answer := post(t, r, world.Therapist, httpPath, at(1, 1)); status != 200 || answer != `{"accepted":1,"outdated":0}` {
		t.Errorf("answered with %d %s", status, answer)
	}
	s := r.Location(t, world.Support)
	s.ExpectNothing(t) // neither passed on nor kept
	if n := r.Metric(t, `roomspa_positions_total{outcome="blocked"}`); n != 1 {
		t.Errorf("%v positions are counted as blocked", n)
	}
}

func TestPositionsByHTTPWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
	r := w.Ready(t, "a")
	if err := w.Redis.Kill(); err != nil {
		t.Fatal(err)
	}
	status, answer := post(t, r, world.Therapist, httpPath, at(1, 1))
	if status != 503 || !strings.Contains(answer, `"code":"channel_layer_unavailable"`) {
		t.Errorf("answered with %d %s", status, answer)
	}
}

func TestParallelReportsEndWithTheNewest(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	var all sync.WaitGroup
	for i := 1; i <= 30; i++ {
		all.Go(func() {
			if status, answer := post(t, r, world.Therapist, httpPath, at(i, i)); status != 200 {
				t.Errorf("answered with %d %s", status, answer)
			}
		})
	}
	all.Wait()
	lastIs(t, r, "30")
}
