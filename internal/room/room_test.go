package room_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/room"
)

func TestParseUserID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]room.UserID{"1": 1, "10": 10, "9007199254740991": room.MaxID} {
		if id, ok := room.ParseUserID(text); !ok || id != want {
			t.Errorf("%q is read as %d, %v", text, id, ok)
		}
	}
	for _, text := range []string{
		"", "0", "-1", "+1", "01", "1.0", "1e3", " 1", "1 ", "x", "0x1", "1_000", "٣", "1\n", "9007199254740992", "9999999999999999",
		"9223372036854775808", "18446744073709551617", strings.Repeat("9", 400),
	} {
		if id, ok := room.ParseUserID(text); ok {
			t.Errorf("%q is read as %d", text, id)
		}
	}
}

func FuzzParseUserID(f *testing.F) {
	for _, s := range []string{"1", "01", "+1", "9007199254740992"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := room.ParseUserID(s)
		if ok && (strconv.FormatInt(int64(id), 10) != s || id < 1 || id > room.MaxID) {
			t.Fatalf("%q is read as %d", s, id)
		}
		if n, err := strconv.ParseUint(s, 10, 64); !ok && err == nil && n >= 1 && n <= room.MaxID && strconv.FormatUint(n, 10) == s {
			t.Fatalf("%q is refused", s)
		}
	})
}

func TestGroup(t *testing.T) {
	t.Parallel()
	r := room.Room{Customer: 1, Therapist: room.MaxID}
	if got := r.Group("chat"); got != "chat_1_9007199254740991" {
		t.Errorf("the group is called %q", got)
	}
}

func TestMayEnter(t *testing.T) {
	t.Parallel()
	users := map[room.UserID]*room.User{}
	for id, role := range map[room.UserID]room.Role{1: room.Customer, 2: room.Therapist, 3: room.Customer, 4: room.Therapist, 5: room.Support, 6: "admin"} {
		users[id] = &room.User{ID: id, Role: role}
	}
	for name, c := range map[string]struct {
		user                room.UserID
		customer, therapist room.UserID
		want                *room.Denial
	}{
		"the customer":                              {1, 1, 2, nil},
		"the therapist":                             {2, 1, 2, nil},
		"support":                                   {5, 1, 2, nil},
		"somebody else's room":                      {1, 3, 2, &room.Denial{Reason: "not_your_room", Side: room.Customer, User: 3}},
		"a room of nobody's tells nothing":          {1, 9, 8, &room.Denial{Reason: "not_your_room", Side: room.Customer, User: 9}},
		"another therapist's room":                  {2, 1, 4, &room.Denial{Reason: "not_your_room", Side: room.Therapist, User: 4}},
		"a therapist as customer":                   {2, 2, 4, &room.Denial{Reason: "wrong_role", Side: room.Customer, User: 2}},
		"a customer as therapist":                   {1, 3, 1, &room.Denial{Reason: "wrong_role", Side: room.Therapist, User: 1}},
		"no therapist":                              {1, 1, 9, &room.Denial{Reason: "no_such_therapist", Side: room.Therapist, User: 9}},
		"a therapist who is a customer":             {1, 1, 3, &room.Denial{Reason: "no_such_therapist", Side: room.Therapist, User: 3}},
		"oneself on both sides":                     {1, 1, 1, &room.Denial{Reason: "no_such_therapist", Side: room.Therapist, User: 1}},
		"no customer":                               {2, 9, 2, &room.Denial{Reason: "no_such_customer", Side: room.Customer, User: 9}},
		"support where there is no customer":        {5, 9, 8, &room.Denial{Reason: "no_such_customer", Side: room.Customer, User: 9}},
		"support where there is no therapist":       {5, 1, 8, &room.Denial{Reason: "no_such_therapist", Side: room.Therapist, User: 8}},
		"a role that nobody has heard of":           {6, 6, 2, &room.Denial{Reason: "wrong_role", Side: "admin", User: 6}},
		"that role in a room of which it is no one": {6, 1, 2, &room.Denial{Reason: "wrong_role", Side: "admin", User: 6}},
	} {
		got := room.MayEnter(users[c.user], room.Room{Customer: c.customer, Therapist: c.therapist}, func(id room.UserID) *room.User { return users[id] })
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestDraftValidate(t *testing.T) {
	t.Parallel()
	const limit = 5
	for text, want := range map[string]string{
		"hi": "", " hi ": "", "💩💩💩💩💩": "", "": "empty_message", " \t\r\n\u00a0\u2003\u3000": "empty_message", "123456": "too_long", "      ": "empty_message",
		"\u200b": "empty_message", "\u2800\u3164": "empty_message", "\ufeff\u2060 ": "empty_message", "\u00ad\u034f": "empty_message",
		"\u200b\u200d": "empty_message", "\x01": "empty_message", "\ufe0f": "empty_message", "\u115f\uffa0": "empty_message",
		"👩\u200d🔧": "", "می\u200c": "", "\u200b.": "",
	} {
		code := ""
		if bad := (room.Draft{Text: text}).Validate(limit); bad != nil {
			code = bad.Code
		}
		if code != want {
			t.Errorf("%q: %q, want %q", text, code, want)
		}
	}
	if bad := (room.Draft{Text: "x", ClientMessageID: strings.Repeat("ü", 64)}).Validate(limit); bad != nil {
		t.Errorf("an id of 64 code points: %v", bad)
	}
	if bad := (room.Draft{Text: "x", ClientMessageID: strings.Repeat("ü", 65)}).Validate(limit); bad == nil || bad.Field != "client_message_id" {
		t.Errorf("an id of 65 code points: %v", bad)
	}
}

func TestPositionNormalize(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	good := room.Position{Latitude: 1, Longitude: 2, Accuracy: nan, Heading: nan, Speed: nan}
	for name, c := range map[string]struct {
		change func(*room.Position)
		want   string // code and field
	}{
		"only what is needed": {func(*room.Position) {}, ""},
		"the edges":           {func(p *room.Position) { p.Latitude, p.Longitude, p.Accuracy, p.Heading, p.Speed = -90, 180, 0, 360, 0 }, ""},
		"the other edges":     {func(p *room.Position) { p.Latitude, p.Longitude, p.Heading = 90, -180, 0 }, ""},
		"no latitude":         {func(p *room.Position) { p.Latitude = nan }, "missing_field latitude"},
		"no longitude":        {func(p *room.Position) { p.Longitude = nan }, "missing_field longitude"},
		"latitude 91":         {func(p *room.Position) { p.Latitude = 91 }, "out_of_range latitude"},
		"latitude infinite":   {func(p *room.Position) { p.Latitude = math.Inf(-1) }, "out_of_range latitude"},
		"longitude -180.1":    {func(p *room.Position) { p.Longitude = -180.1 }, "out_of_range longitude"},
		"accuracy -1":         {func(p *room.Position) { p.Accuracy = -1 }, "out_of_range accuracy"},
		"not known":           {func(p *room.Position) { p.Accuracy, p.Heading, p.Speed = math.Inf(1), -1, -1 }, ""},
		"too large":           {func(p *room.Position) { p.Accuracy, p.Heading, p.Speed = math.Inf(1), 360.1, math.Inf(1) }, ""},
	} {
		p := good
		c.change(&p)
		got := ""
		if bad := p.Normalize(); bad != nil {
			got = bad.Code + " " + bad.Field
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if unknown := math.IsNaN(p.Accuracy) && math.IsNaN(p.Heading) && math.IsNaN(p.Speed); unknown != (name != "the edges" && name != "the other edges" && name != "accuracy -1") {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestNewer(t *testing.T) {
	t.Parallel()
	at := func(second int) room.Position {
		return room.Position{RecordedAt: time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC)}
	}
	for name, c := range map[string]struct {
		later, old room.Position
		want       bool
	}{
		"recorded later":          {at(2), at(1), true},
		"recorded before":         {at(1), at(2), false},
		"recorded at once":        {at(1), at(1), true},
		"the later says nothing":  {room.Position{}, at(2), true},
		"the former says nothing": {at(1), room.Position{}, true},
		"neither says anything":   {room.Position{}, room.Position{}, true},
	} {
		if got := c.later.Newer(c.old); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	const text = "0123abcd-4567-89ab-cdef-fedcba987654"
	for _, form := range []string{text, strings.ToUpper(text)} {
		if id, err := room.ParseID(form); err != nil || id.String() != text {
			t.Errorf("%s is read as %s (%v)", form, id, err)
		}
	}
	for _, bad := range []string{"", text[1:], text + "0", strings.ReplaceAll(text, "-", "0"), "{" + text[2:] + "}", "g" + text[1:], text[:35] + "é"} {
		if id, err := room.ParseID(bad); err == nil {
			t.Errorf("%q is read as %s", bad, id)
		}
	}
}
