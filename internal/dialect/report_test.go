package dialect_test

import (
	"net/http"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestClassicSocketsGetPositionsByHTTPToo(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, classic)
	s := open(t, b, world.Customer, locationPath)
	res, body := a.Request(t, http.MethodPost, "/api/location/1/2/", w.Token(t, world.Therapist),
		`{"positions":[{"latitude":1,"longitude":0},{"latitude":52.50,"longitude":1e1}]}`, "Content-Type", "application/json")
	if res.StatusCode != http.StatusOK {
		t.Fatalf("answered with %d %s", res.StatusCode, body)
	}
	if g := s.Next(t); g.Raw != `{"type": "location", "latitude": 52.50, "longitude": 1e1, "therapist_id": "2"}` {
		t.Errorf("got %s", g.Raw)
	}
}
