package chat

import (
	"cmp"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

func TestParseSince(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "41": 41, "9223372036854775807": 1<<63 - 1} {
		if p, bad := parseSince(url.Values{"since": {text}}); bad != nil || *p != (position{seq: want}) {
			t.Errorf("%q is read as %v (%v)", text, p, bad)
		}
	}
	if p, bad := parseSince(url.Values{}); p != nil || bad != nil {
		t.Errorf("none is read as %v (%v)", p, bad)
	}
	for _, text := range []string{"", "x", "-1", "+1", "1.5", "1e3", " 1", "0x10", "1_0", "9223372036854775808"} {
		if p, bad := parseSince(url.Values{"since": {text}}); bad == nil || bad.Reason != "bad_since" {
			t.Errorf("%q is read as %v", text, p)
		}
	}
}

func TestParseSinceWithAnID(t *testing.T) {
	t.Parallel()
	const id = "01a20908-346f-7aae-834a-38b5644b4147"
	parsed, err := room.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]*position{
		"since=41&id=" + id:                  {41, parsed, true},
		"since=41&id=" + strings.ToUpper(id): {41, parsed, true},
		"since=41&id=":                       {seq: 41},
		"since=0&id=" + id:                   {seq: 0},
		"since=0&id=none":                    {seq: 0},
		"id=":                                nil,
		"id=" + id:                           nil, // perhaps the app means something else by it
	} {
		q, _ := url.ParseQuery(query)
		if p, bad := parseSince(q); bad != nil || (p == nil) != (want == nil) || p != nil && *p != *want {
			t.Errorf("%q is read as %v (%v)", query, p, bad)
		}
	}
	for query, detail := range map[string]string{
		"since=41&id=x":           "id must be a UUID",
		"since=41&id=" + id + "0": "id must be a UUID",
		"since=41&id=%20" + id:    "id must be a UUID",
		"since=x&id=" + id:        "since must be",
	} {
		q, _ := url.ParseQuery(query)
		p, bad := parseSince(q)
		if bad == nil || bad.Code != frame.CodeParameters || bad.Reason != "bad_since" || !strings.Contains(bad.Detail, detail) {
			t.Errorf("%q is read as %v (%v), want a detail with %q", query, p, bad, detail)
		}
	}
}

func TestResumeByID(t *testing.T) {
	const known, other = "02000000-0000-0000-0000-000000000000", "02010000-0000-0000-0000-000000000000"
	for name, c := range map[string]struct {
		before  int
		since   string
		id      string
		missing bool // the store has no message at that seq, but later ones
		want    []string
		resets  float64
	}{
		"of the same message":                        {before: 2, id: known, want: []string{"connected 2", "resumed 3-2"}},
		"of the same message, passed by new ones":    {before: 4, id: known, want: []string{"connected 4", "3", "4", "resumed 3-4"}},
		"of another message":                         {before: 2, id: other, want: []string{"connected 2", "resumed 3-2 reset=true"}, resets: 1},
		"of another message, passed by new ones":     {before: 4, id: other, want: []string{"connected 4", "resumed 5-4 reset=true"}, resets: 1},
		"beyond what the store has":                  {before: 1, id: known, want: []string{"connected 1", "resumed 2-1 reset=true"}, resets: 1},
		"of an empty conversation":                   {before: 0, id: known, want: []string{"connected 0", "resumed 1-0 reset=true"}, resets: 1},
		"of a message that is missing":               {before: 4, id: known, missing: true, want: []string{"connected 4", "resumed 5-4 reset=true"}, resets: 1},
		"with the id of another seq":                 {before: 4, since: "3", id: known, want: []string{"connected 4", "resumed 5-4 reset=true"}, resets: 1},
		"without an id, of another message":          {before: 4, want: []string{"connected 4", "3", "4", "resumed 3-4"}},
		"with an id that does not matter, from zero": {before: 2, since: "0", id: other, want: []string{"connected 2", "1", "2", "resumed 1-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, c.before)
				if c.missing {
					d.stored[1].Seq = 3
				}
				d.s = d.consumer(&room.User{ID: 1, Role: room.Customer}, url.Values{"since": {cmp.Or(c.since, "2")}, "id": {c.id}})
				if err := d.s.Open(t.Context()); err != nil {
					t.Fatal(err)
				}
				d.want(c.want...)
				if n := d.resets("resume"); n != c.resets {
					t.Errorf("counted %v resets, want %v", n, c.resets)
				}
				d.say(1)
				d.hear(int64(c.before + 1))
				d.want(strconv.Itoa(c.before + 1))
				d.s.Closed()
			})
		})
	}
}

func TestAPositionThatCannotBeCheckedEndsTheHandshake(t *testing.T) {
	t.Parallel()
	d := newDesk(t, 2)
	d.failRead = room.ErrUnavailable
	s := d.consumer(&room.User{ID: 1, Role: room.Customer}, url.Values{"since": {"2"}, "id": {"02000000-0000-0000-0000-000000000000"}})
	err := s.Open(t.Context())
	if c, ok := errors.AsType[*frame.Close](err); !ok || c.Reason != "database_unavailable" {
		t.Errorf("got %v", err)
	}
	if len(d.chat.consumers()) != 0 {
		t.Error("the socket is listed")
	}
	s.Closed()
}
