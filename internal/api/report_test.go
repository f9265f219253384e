package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestReportsAreBounded(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	own := storeMessages(t, w, room.Room{Customer: world.Customer, Therapist: world.Therapist}, 2).String()
	others := storeMessages(t, w, room.Room{Customer: world.OtherCustomer, Therapist: world.OtherTherapist}, 2).String()
	r := w.Ready(t, "a")
	for name, c := range map[string]struct {
		who    room.UserID
		body   m
		status int
		code   string
	}{
		"the longest":          {world.Customer, m{"conversation_id": own, "reason": strings.Repeat("ü", 64), "text": strings.Repeat("\U0001f4a9", 4000)}, 204, ""},
		"of a message":         {world.Therapist, m{"conversation_id": own, "seq": 2, "reason": "spam"}, 204, ""},
		"a longer reason":      {world.OtherTherapist, m{"conversation_id": others, "reason": strings.Repeat("x", 65)}, 400, "bad_field"},
		"no reason":            {world.OtherTherapist, m{"conversation_id": others}, 400, "bad_field"},
		"a longer text":        {world.OtherTherapist, m{"conversation_id": others, "reason": "x", "text": strings.Repeat("x", 4001)}, 400, "bad_field"},
		"a NUL":                {world.OtherTherapist, m{"conversation_id": others, "reason": "x", "text": "\x00"}, 400, "bad_field"},
		"a seq below 0":        {world.OtherTherapist, m{"conversation_id": others, "reason": "x", "seq": -1}, 400, "bad_field"},
		"a seq that is a text": {world.OtherTherapist, m{"conversation_id": others, "reason": "x", "seq": "1"}, 400, "bad_field"},
		"no such message":      {world.OtherTherapist, m{"conversation_id": others, "reason": "x", "seq": 3}, 404, "no_such_message"},
		"somebody else's":      {world.OtherTherapist, m{"conversation_id": own, "reason": "x"}, 404, "no_such_conversation"},
		"support":              {world.Support, m{"conversation_id": own, "reason": "x"}, 403, "wrong_role"},
	} {
		answer := r.Post(t, "/api/reports/", c.body, "Authorization", "Bearer "+w.Token(t, c.who))
		if answer.Status != c.status || answer.Code != c.code {
			t.Errorf("%s: %d %s", name, answer.Status, answer.Code)
		}
	}
	if n := world.Query[int](t, w, "SELECT count(*) FROM roomspa.reports"); n != 2 {
		t.Errorf("%d reports are stored", n)
	}
}

func TestOnlyTheOtherSideOfAConversationCanBeBlocked(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	storeMessages(t, w, room.Room{Customer: world.Customer, Therapist: world.Therapist}, 0)
	r := w.Ready(t, "a")
	for _, c := range []struct {
		who, whom room.UserID
		status    int
		code      string
	}{
		{world.Customer, world.Therapist, 204, ""},
		{world.Therapist, world.Customer, 204, ""},
		{world.Customer, world.Customer, 400, "bad_field"},
		{world.Customer, world.OtherTherapist, 404, "no_such_user"}, // no conversation
		{world.Customer, world.OtherCustomer, 404, "no_such_user"},
		{world.Customer, world.Support, 404, "no_such_user"},
		{world.Customer, 99, 404, "no_such_user"},
		{world.Support, world.Customer, 403, "wrong_role"},
	} {
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			res, body := r.Request(t, method, fmt.Sprintf("/api/users/%d/block", c.whom), w.Token(t, c.who), "")
			if res.StatusCode != c.status || c.code != "" && !strings.Contains(string(body), c.code) {
				t.Errorf("%s of %d by %d: %d %s", method, c.whom, c.who, res.StatusCode, body)
			}
		}
	}
	if n := world.Query[int](t, w, "SELECT count(*) FROM roomspa.blocks WHERE NOT active"); n != 2 {
		t.Errorf("%d lifted blocks", n)
	}
}
