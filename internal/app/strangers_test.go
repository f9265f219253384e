package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestStrangersCannotFillTheLog floods a replica with handshakes and requests that are refused,
// beside a pair that chats and a user who is refused as well.
func TestStrangersCannotFillTheLog(t *testing.T) {
	t.Parallel()
	const flood = 40 // so that it ends within a minute on a busy machine
	r := world.New(t).Ready(t, "a", world.NoRateLimit)
	customer, therapist := r.Chat(t, world.Customer), r.Chat(t, world.Therapist)
	for i := range flood {
		r.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", "not.a.token"}}).ExpectRefusal(t, 4001, "token_invalid")
		if res, _ := r.Request(t, http.MethodGet, "/api/conversations/", "not.a.token", ""); res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("a bad token is answered with %d", res.StatusCode)
		}
		if res, _ := r.Request(t, http.MethodGet, "/ws/none/", "", ""); res.StatusCode != http.StatusNotFound {
			t.Fatalf("an unknown path is answered with %d", res.StatusCode)
		}
		if i%10 == 0 {
			r.ConnectAs(t, world.Customer, "/ws/chat/5/6/", nil).ExpectRefusal(t, 4003, "not_your_room")
			text := fmt.Sprint("message ", i)
			customer.Deliver(t, text, "")
			if g := therapist.Expect(t, "chat_message"); g.Message != text {
				t.Errorf("got %s", g.Raw)
			}
		}
	}
	log := r.Log.String()
	for words, want := range map[string]int{
		"[JWTAuthMiddleware] Invalid token: ":               10,
		"[History] Refused: token_invalid":                  10,
		"[Handshake] Refused before the upgrade: 404":       10,
		"Authorization failed - customer 1 tried to access": flood / 10,
		"Connection rejected - user not authenticated":      10,
		"Suppressed": 0, // only after a minute
	} {
		if n := strings.Count(log, words); n != want {
			t.Errorf("%d lines with %q, want %d", n, words, want)
		}
	}
	if n := r.Metric(t, "roomspa_suppressed_warnings_total"); n != 3*(flood-10) {
		t.Errorf("%v warnings are counted as suppressed, want %d", n, 3*(flood-10))
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if want := fmt.Sprintf("Suppressed %d more warnings", 3*(flood-10)); !strings.Contains(r.Log.String(), want) {
		t.Errorf("the log does not say %q at the end", want)
	}
}
