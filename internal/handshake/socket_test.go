package handshake_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestWhoMayEnterARoom(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	for name, c := range map[string]struct {
		user   room.UserID
		path   string // behind the endpoint
		reason string // empty: may enter
	}{
		"the customer":                             {world.Customer, "/1/2/", ""},
		"the therapist":                            {world.Therapist, "/1/2/", ""},
		"support":                                  {world.Support, "/1/2/", ""},
		"customer 1 on the room of customer 3":     {world.Customer, "/3/2/", "not_your_room"},
		"customer 1 on a room that cannot be":      {world.Customer, "/99/2/", "not_your_room"},
		"therapist 2 on the room of therapist 4":   {world.Therapist, "/1/4/", "not_your_room"},
		"a therapist as the customer":              {world.Therapist, "/2/4/", "wrong_role"},
		"a customer as the therapist":              {world.Customer, "/3/1/", "wrong_role"},
		"a therapist who is not there":             {world.Customer, "/1/99/", "no_such_therapist"},
		"a therapist who is a customer":            {world.Customer, "/1/3/", "no_such_therapist"},
		"a therapist who is support":               {world.Customer, "/1/6/", "no_such_therapist"},
		"a therapist who is the customer":          {world.Customer, "/1/1/", "no_such_therapist"},
		"a customer who is not there":              {world.Therapist, "/99/2/", "no_such_customer"},
		"a customer who is a therapist":            {world.Therapist, "/4/2/", "no_such_customer"},
		"support in a room without customer":       {world.Support, "/99/2/", "no_such_customer"},
		"support in a room without therapist":      {world.Support, "/1/99/", "no_such_therapist"},
		"support as the customer":                  {world.Support, "/6/2/", "no_such_customer"},
		"a room with somebody who was deactivated": {world.Therapist, "/5/2/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, endpoint := range []string{"/ws/chat", "/ws/location"} {
				s := r.ConnectAs(t, c.user, endpoint+c.path, nil)
				if c.reason == "" {
					s.Expect(t, "connected")
					continue
				}
				s.ExpectRefusal(t, 4003, c.reason)
			}
		})
	}
}

func TestAFrameThatClosesItsSocket(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	other := r.Chat(t, world.Therapist)
	text, binary := websocket.MessageText, websocket.MessageBinary
	fragments := strings.SplitAfter(`{"message":"`+strings.Repeat("x", 70_000)+`"}`, strings.Repeat("x", 500))
	t.Run("each", func(t *testing.T) {
		for name, c := range map[string]struct {
			kind   websocket.MessageType
			pieces []string
			code   int
			reason string
		}{
			"binary":                           {binary, []string{`{"message":"x"}`}, 1003, "text_only"},
			"an empty binary one":              {binary, []string{""}, 1003, "text_only"},
			"not UTF-8":                        {text, []string{"{\"message\":\"\xff\"}"}, 1007, "invalid_utf8"},
			"an overlong form":                 {text, []string{"{\"message\":\"\xc0\x80\"}"}, 1007, "invalid_utf8"},
			"a surrogate in UTF-8":             {text, []string{"{\"message\":\"\xed\xa0\x80\"}"}, 1007, "invalid_utf8"},
			"UTF-8 that ends too early":        {text, []string{"{\"message\":\"\xe2\x82"}, 1007, "invalid_utf8"},
			"not UTF-8 across fragments":       {text, []string{"{\"message\":\"\xe2", "x\"}"}, 1007, "invalid_utf8"},
			"over the limit":                   {text, []string{strings.Join(fragments, "")}, 1009, "too_large"},
			"over the limit in many fragments": {text, fragments, 1009, "too_large"},
			"over the limit and binary":        {binary, fragments, 1009, "too_large"},
		} {
			for _, endpoint := range []string{"chat", "location", "test"} {
				if endpoint == "test" && c.code == 1003 {
					continue // it echoes those
				}
				t.Run(name+" on "+endpoint, func(t *testing.T) {
					t.Parallel()
					path := "/ws/" + endpoint + "/"
					if endpoint != "test" {
						path += "1/2/"
					}
					s := r.ConnectAs(t, world.Customer, path, nil)
					if endpoint != "test" {
						s.Expect(t, "connected")
					}
					s.WriteFragments(t, c.kind, c.pieces)
					s.ExpectRefusal(t, c.code, c.reason)
				})
			}
		}
	})
	other.ExpectNothing(t)
	if n := world.Query[int](t, w, "SELECT count(*) FROM roomspa.messages"); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

func TestBreachesOfRFC6455(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	for name, wire := range map[string]string{
		"a frame without a mask":           "\x81\x02hi",
		"a reserved bit":                   "\xc1\x82\x00\x00\x00\x00hi",
		"an unknown opcode":                "\x83\x80\x00\x00\x00\x00",
		"a continuation of nothing":        "\x80\x80\x00\x00\x00\x00",
		"a ping in fragments":              "\x09\x80\x00\x00\x00\x00",
		"a ping of 126 bytes":              "\x89\xfe\x00\x7e\x00\x00\x00\x00" + strings.Repeat("x", 126),
		"a text inside a fragmented text":  "\x01\x81\x00\x00\x00\x00a\x81\x81\x00\x00\x00\x00b",
		"a Close of one byte":              "\x88\x81\x00\x00\x00\x00\x03",
		"a Close of 1005":                  "\x88\x82\x00\x00\x00\x00\x03\xed",
		"a Close of 1006":                  "\x88\x82\x00\x00\x00\x00\x03\xee",
		"a Close of 999":                   "\x88\x82\x00\x00\x00\x00\x03\xe7",
		"a Close whose reason is not text": "\x88\x83\x00\x00\x00\x00\x03\xe8\xff",
		"a length with its top bit set":    "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, got := r.RawThen(t, wire, world.Upgrade("/ws/test/")...)
			g, code, text := world.ParseRefusal(t, got)
			if ref := res.Header.Get("Roomspa-Ref"); code != 1002 || g.Code != "protocol_error" || text != "protocol_error ref="+ref {
				t.Errorf("got %s and %d %q", g.Raw, code, text)
			}
		})
	}
	// A frame of 2^62 bytes is announced: nobody may make room for it.
	t.Run("a huge length", func(t *testing.T) {
		t.Parallel()
		wire := "\x81\xff\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("x", 70_000)
		_, got := r.RawThen(t, wire, world.Upgrade("/ws/test/")...)
		if g, code, _ := world.ParseRefusal(t, got); code != 1009 || g.Code != "too_large" {
			t.Errorf("got %s and %d", g.Raw, code)
		}
	})
}

func TestHowAClientsCloseIsAnswered(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	for name, c := range map[string]struct{ wire, want string }{
		"1000":    {"\x88\x82\x00\x00\x00\x00\x03\xe8", "bye"},
		"1001":    {"\x88\x82\x00\x00\x00\x00\x03\xe9", "bye"},
		"nothing": {"\x88\x80\x00\x00\x00\x00", "bye"},
		"1012":    {"\x88\x82\x00\x00\x00\x00\x03\xf4", "1012"},
		"1013":    {"\x88\x82\x00\x00\x00\x00\x03\xf5", "1013"},
		"1014":    {"\x88\x82\x00\x00\x00\x00\x03\xf6", "1014"},
		"3000":    {"\x88\x82\x00\x00\x00\x00\x0b\xb8", "3000"},
		"4999":    {"\x88\x85\x00\x00\x00\x00\x13\x87bad", "4999"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, got := r.RawThen(t, c.wire, world.Upgrade("/ws/test/")...)
			if len(got) < 4 || got[0] != 0x88 {
				t.Fatalf("got % x, want a Close and nothing before it", got)
			}
			code, text := int(got[2])<<8|int(got[3]), string(got[4:])
			if c.want == "bye" && (code != 1000 || text != "bye ref="+res.Header.Get("Roomspa-Ref")) {
				t.Errorf("answered with %d %q, want 1000 bye", code, text)
			}
			if c.want != "bye" && (strconv.Itoa(code) != c.want || text != "") {
				t.Errorf("answered with %d %q, want %s", code, text, c.want)
			}
		})
	}
}

func TestWhoKeepsBreakingTheRateIsClosed(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	const burst, warnings = 5, 40
	r := w.Ready(t, "a", func(o *app.Options) { o.MessageRate, o.MessageBurst = 0.001, burst })
	s := r.Connect(t, world.Handshake{Path: "/ws/test/"})
	for range burst + warnings + 5 {
		if s.Conn.Write(t.Context(), websocket.MessageText, []byte("x")) != nil {
			break // closed already
		}
	}
	c, before := s.WaitClose(t)
	if c.Code != 1008 || c.Reason != "rate_limited ref="+s.Ref() {
		t.Fatalf("closed with %d %q", c.Code, c.Reason)
	}
	warned := 0
	for _, g := range before {
		if g.Type != "error" {
			continue
		}
		if g.Code != "rate_limited" {
			t.Errorf("warned with %s", g.Raw)
		}
		if g.Close == 0 {
			warned++
		}
	}
	// Warnings may be overtaken by the Close that they led to, if the client sends faster than it is written to.
	if warned < 1 || warned > warnings+1 {
		t.Errorf("%d warnings, want some, and %d at most", warned, warnings+1)
	}
}
