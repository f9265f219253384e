package app_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/room"
)

func TestWhoMayEnterARoom(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
	for name, c := range map[string]struct {
		user   room.UserID
		path   string // behind the endpoint
		reason string // empty: may enter
	}{
		"the customer":                             {customer, "/1/2/", ""},
		"the therapist":                            {therapist, "/1/2/", ""},
		"support":                                  {support, "/1/2/", ""},
		"customer 1 on the room of customer 3":     {customer, "/3/2/", "not_your_room"},
		"customer 1 on a room that cannot be":      {customer, "/99/2/", "not_your_room"},
		"therapist 2 on the room of therapist 4":   {therapist, "/1/4/", "not_your_room"},
		"a therapist as the customer":              {therapist, "/2/4/", "wrong_role"},
		"a customer as the therapist":              {customer, "/3/1/", "wrong_role"},
		"a therapist who is not there":             {customer, "/1/99/", "no_such_therapist"},
		"a therapist who is a customer":            {customer, "/1/3/", "no_such_therapist"},
		"a therapist who is support":               {customer, "/1/6/", "no_such_therapist"},
		"a therapist who is the customer":          {customer, "/1/1/", "no_such_therapist"},
		"a customer who is not there":              {therapist, "/99/2/", "no_such_customer"},
		"a customer who is a therapist":            {therapist, "/4/2/", "no_such_customer"},
		"support in a room without customer":       {support, "/99/2/", "no_such_customer"},
		"support in a room without therapist":      {support, "/1/99/", "no_such_therapist"},
		"support as the customer":                  {support, "/6/2/", "no_such_customer"},
		"a room with somebody who was deactivated": {therapist, "/5/2/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, endpoint := range []string{"/ws/chat", "/ws/location"} {
				s := r.room(t, endpoint+c.path, c.user, nil)
				if c.reason == "" {
					s.want(t, "connected")
					continue
				}
				s.refusal(t, 4003, c.reason)
			}
		})
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
	for _, since := range []string{"x", "", "-1", "+1", "1.0", "1e3", " 1", "0x1", "9223372036854775808", "null"} {
		t.Run("refused: "+since, func(t *testing.T) {
			t.Parallel()
			r.room(t, "/ws/chat/1/2/", customer, url.Values{"since": {since}}).refusal(t, 4000, "bad_since")
			r.room(t, "/ws/location/1/2/", customer, url.Values{"since": {since}}).want(t, "connected") // ignored
		})
	}
	for _, query := range []string{"since=%zz", "since=1;2", "since", "%73ince=%"} {
		t.Run("refused, though it cannot be decoded: "+query, func(t *testing.T) {
			t.Parallel()
			r.room(t, "/ws/chat/1/2/?"+query, customer, nil).refusal(t, 4000, "bad_since")
		})
	}
	t.Run("in an empty conversation", func(t *testing.T) {
		t.Parallel()
		s := r.room(t, "/ws/chat/3/4/", stranger, url.Values{"since": {"0"}})
		if g := s.want(t, "connected"); g.LastSeq == nil || *g.LastSeq != 0 {
			t.Errorf("connected: %s", g.raw)
		}
		if g := s.want(t, "resumed"); g.raw != `{"type":"resumed","from_seq":1,"to_seq":0}` {
			t.Errorf("resumed: %s", g.raw)
		}
	})
}

func TestAFrameThatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.ready(t, "a")
	const id = `,"client_message_id":"m-1"`
	t.Run("each", func(t *testing.T) {
		for name, c := range map[string]struct{ frame, code, field, id string }{
			"blank message":               {`{"message":" \t\n\u00a0"` + id + `}`, "empty_message", "message", "m-1"},
			"empty message":               {`{"message":""}`, "empty_message", "message", ""},
			"no message":                  {`{"type":"chat_message"` + id + `}`, "empty_message", "message", "m-1"},
			"message null":                {`{"type":"chat_message","message":null}`, "empty_message", "message", ""},
			"too long":                    {`{"message":"` + strings.Repeat("ü", 4001) + `"` + id + `}`, "too_long", "message", "m-1"},
			"client_message_id too long":  {`{"message":"x","client_message_id":"` + strings.Repeat("x", 65) + `"}`, "too_long", "client_message_id", strings.Repeat("x", 65)},
			"client_message_id a number":  {`{"message":"x","client_message_id":7}`, "bad_frame", "client_message_id", ""},
			"nothing":                     {``, "bad_json", "", ""},
			"not JSON":                    {`hello`, "bad_json", "", ""},
			"JSON cut off":                {`{"message":"x"`, "bad_json", "", ""},
			"JSON and more":               {`{"message":"x"} {}`, "bad_json", "", ""},
			"an array":                    {`[{"message":"x"}]`, "bad_json", "", ""},
			"a text":                      {`"x"`, "bad_json", "", ""},
			"null":                        {`null`, "bad_json", "", ""},
			"deep nesting":                {`{"message":"x","a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "bad_json", "", ""},
			"deep nesting of objects":     {strings.Repeat(`{"":`, 10_500) + "1" + strings.Repeat("}", 10_500), "bad_json", "", ""},
			"a number for text":           {`{"message":42` + id + `}`, "bad_frame", "message", "m-1"},
			"an object for text":          {`{"message":{"a":1}` + id + `}`, "bad_frame", "message", "m-1"},
			"a number for text, id first": {`{"client_message_id":"m-1","message":42}`, "bad_frame", "message", "m-1"},
			"half a surrogate pair":       {`{"message":"\ud83d"` + id + `}`, "bad_text", "message", "m-1"},
			"the other half":              {`{"message":"\udca9"}`, "bad_text", "message", ""},
			"two first halves":            {`{"message":"\ud83d\ud83d"}`, "bad_text", "message", ""},
			"half a pair as the id":       {`{"message":"x","client_message_id":"\ud83d"}`, "bad_text", "client_message_id", "\ufffd"},
			"NUL":                         {`{"message":"a\u0000b"` + id + `}`, "bad_text", "message", "m-1"},
			"NUL as it is":                {"{\"message\":\"a\x00b\"}", "bad_json", "", ""},
			"an unknown type":             {`{"type":"shout","message":"x"}`, "unknown_type", "type", ""},
			"type a number":               {`{"type":1,"message":"x"}`, "bad_frame", "type", ""},
			"neither type nor message":    {`{"text":"x"}`, "unknown_type", "type", ""},
			"capitals":                    {`{"Message":"x"}`, "unknown_type", "type", ""},
			"history before 0":            {`{"type":"history","before_seq":0}`, "out_of_range", "before_seq", ""},
			"history of -1":               {`{"type":"history","limit":-1}`, "out_of_range", "limit", ""},
			"history of 201":              {`{"type":"history","limit":201}`, "out_of_range", "limit", ""},
			"history of 1.5":              {`{"type":"history","limit":1.5}`, "bad_frame", "limit", ""},
			"history before 2^63":         {`{"type":"history","before_seq":9223372036854775808}`, "bad_frame", "before_seq", ""},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := r.room(t, "/ws/chat/1/2/", customer, nil)
				other := r.room(t, "/ws/chat/1/2/", therapist, nil)
				s.want(t, "connected")
				other.want(t, "connected")
				s.send(t, c.frame)
				if g := s.faulty(t, c.code, c.field); g.ClientMessageID != c.id {
					t.Errorf("client_message_id is %q, want %q", g.ClientMessageID, c.id)
				}
				s.quiet(t)
				other.quiet(t)
			})
		}
	})
	if n := query[int](t, w, "SELECT count(*) FROM roomspa.messages"); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

func TestAFrameThatClosesItsSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.ready(t, "a")
	other := r.chat(t, therapist)
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
					s := r.room(t, path, customer, nil)
					if endpoint != "test" {
						s.want(t, "connected")
					}
					s.fragments(t, c.kind, c.pieces)
					s.refusal(t, c.code, c.reason)
				})
			}
		}
	})
	other.quiet(t)
	if n := query[int](t, w, "SELECT count(*) FROM roomspa.messages"); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

// fragments writes one message in as many frames as there are pieces. The server
// may have had enough before the last one.
func (s *socket) fragments(t testing.TB, kind websocket.MessageType, pieces []string) {
	t.Helper()
	if len(pieces) == 1 {
		_ = s.conn.Write(t.Context(), kind, []byte(pieces[0]))
		return
	}
	w, err := s.conn.Writer(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		if _, err := w.Write([]byte(p)); err != nil {
			return
		}
	}
	_ = w.Close()
}

func TestBreachesOfRFC6455(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
	for name, wire := range map[string]string{
		"a frame without a mask":           "\x81\x02hi",
		"a reserved bit":                   "\xc1\x82\x00\x00\x00\x00hi",
		"an unknown opcode":                "\x83\x80\x00\x00\x00\x00",
		"a continuation of nothing":        "\x80\x80\x00\x00\x00\x00",
		"a ping in fragments":              "\x09\x80\x00\x00\x00\x00",
		"a ping of 126 bytes":              "\x89\xfe\x00\x7e\x00\x00\x00\x00" + strings.Repeat("x", 126),
		"a text inside a fragmented text":  "\x01\x81\x00\x00\x00\x00a\x81\x81\x00\x00\x00\x00b",
		"a Close of 1005":                  "\x88\x82\x00\x00\x00\x00\x03\xed",
		"a Close of 1006":                  "\x88\x82\x00\x00\x00\x00\x03\xee",
		"a Close of 999":                   "\x88\x82\x00\x00\x00\x00\x03\xe7",
		"a Close whose reason is not text": "\x88\x83\x00\x00\x00\x00\x03\xe8\xff",
		"a length with its top bit set":    "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, got := r.rawThen(t, wire, shake("/ws/test/")...)
			g, code, text := explained(t, got)
			if ref := res.Header.Get("Roomspa-Ref"); code != 1002 || g.Code != "protocol_error" || text != "protocol_error ref="+ref {
				t.Errorf("got %s and %d %q", g.raw, code, text)
			}
		})
	}
	// A frame of 2^62 bytes is announced: nobody may make room for it.
	t.Run("a huge length", func(t *testing.T) {
		t.Parallel()
		wire := "\x81\xff\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("x", 70_000)
		_, got := r.rawThen(t, wire, shake("/ws/test/")...)
		if g, code, _ := explained(t, got); code != 1009 || g.Code != "too_large" {
			t.Errorf("got %s and %d", g.raw, code)
		}
	})
}

func TestHowAClientsCloseIsAnswered(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
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
			res, got := r.rawThen(t, c.wire, shake("/ws/test/")...)
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

func TestTheTestEndpoint(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
	open := func(t *testing.T, query string) *socket {
		t.Helper()
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		return r.connect(t, dial{path: "/ws/test/", query: values})
	}
	t.Run("echoes everything unchanged", func(t *testing.T) {
		t.Parallel()
		s := open(t, "")
		for _, text := range []string{"", "hello", `{"type":"ping"}`, "\x00", "grüße 💩", strings.Repeat("x", 65_536)} {
			s.send(t, text)
			if g := s.next(t); g.raw != text || g.binary {
				t.Errorf("%.20q came back as %.20q (binary: %v)", text, g.raw, g.binary)
			}
			s.write(t, websocket.MessageBinary, []byte(text+"\xff"[:min(1, 65_536-len(text))]))
			if g := s.next(t); !g.binary || !strings.HasPrefix(g.raw, text) {
				t.Errorf("binary %.20q came back as %.20q (binary: %v)", text, g.raw, g.binary)
			}
		}
		s.fragments(t, websocket.MessageText, []string{"gr\xc3", "\xbc", "ße"}) // whole only together
		if g := s.next(t); g.raw != "grüße" {
			t.Errorf("fragments came back as %q", g.raw)
		}
	})
	t.Run("greets", func(t *testing.T) {
		t.Parallel()
		s := open(t, "greet=1")
		g := s.want(t, "greeting")
		if g.Replica != "a" || g.Ref != s.header.Get("Roomspa-Ref") || !strings.Contains(g.raw, `"time":"20`) {
			t.Errorf("greeting: %s", g.raw)
		}
	})
	for code, reason := range map[int]string{
		1000: "bye", 1001: "closed_as_asked", 1002: "protocol_error", 1003: "text_only", 1007: "invalid_utf8", 1008: "rate_limited",
		1009: "too_large", 1010: "closed_as_asked", 1011: "database_unavailable", 1012: "restart", 1013: "busy", 1014: "closed_as_asked",
		3000: "closed_as_asked", 4000: "missing_customer_id", 4001: "token_missing", 4003: "not_your_room", 4999: "closed_as_asked",
	} {
		t.Run("closes with "+strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			s := open(t, "close="+strconv.Itoa(code))
			if code != 1000 {
				s.refusal(t, code, reason)
				return
			}
			if c, before := s.closed(t); c.Code != 1000 || c.Reason != "bye ref="+s.header.Get("Roomspa-Ref") || len(before) != 0 {
				t.Errorf("closed with %d %q after %v", c.Code, c.Reason, before)
			}
		})
	}
	for _, code := range []string{"", "x", "0", "999", "1004", "1005", "1006", "1015", "1016", "2999", "5000", "-1000", "4001.5", "99999999999999999999"} {
		t.Run("refuses to close with "+code, func(t *testing.T) {
			t.Parallel()
			open(t, "close="+code).refusal(t, 4000, "bad_close_code")
		})
	}
	for _, ping := range []string{"", "on", "OFF", "0", "off "} {
		t.Run("refuses a ping of "+ping, func(t *testing.T) {
			t.Parallel()
			open(t, "ping="+url.QueryEscape(ping)).refusal(t, 4000, "bad_ping")
		})
	}
	t.Run("greets before it closes", func(t *testing.T) {
		t.Parallel()
		s := open(t, "greet=1&close=4003")
		s.want(t, "greeting")
		s.refusal(t, 4003, "not_your_room")
	})
}

func TestPositionsThatAreRefused(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
	at := func(more string) string { return `{"latitude":1,"longitude":2` + more + `}` }
	for name, c := range map[string]struct{ frame, code, field string }{
		"latitude 91":            {`{"latitude":91,"longitude":2}`, "out_of_range", "latitude"},
		"latitude -90.0001":      {`{"latitude":-90.0001,"longitude":2}`, "out_of_range", "latitude"},
		"longitude 181":          {`{"latitude":1,"longitude":181}`, "out_of_range", "longitude"},
		"latitude NaN":           {`{"latitude":NaN,"longitude":2}`, "bad_json", ""},
		"latitude NaN as text":   {`{"latitude":"NaN","longitude":2}`, "bad_frame", "latitude"},
		"latitude beyond floats": {`{"latitude":1e400,"longitude":2}`, "bad_frame", "latitude"},
		"no longitude":           {`{"latitude":1}`, "missing_field", "longitude"},
		"longitude null":         {`{"latitude":1,"longitude":null}`, "missing_field", "longitude"},
		"no latitude":            {`{"longitude":1}`, "missing_field", "latitude"},
		"nothing":                {`{}`, "missing_field", "latitude"},
		"heading 720":            {at(`,"heading":720`), "out_of_range", "heading"},
		"heading -1":             {at(`,"heading":-1`), "out_of_range", "heading"},
		"accuracy -1":            {at(`,"accuracy":-1`), "out_of_range", "accuracy"},
		"speed -0.1":             {at(`,"speed":-0.1`), "out_of_range", "speed"},
		"speed as text":          {at(`,"speed":"fast"`), "bad_frame", "speed"},
		"recorded_at a number":   {at(`,"recorded_at":1700000000`), "bad_frame", "recorded_at"},
		"recorded_at no time":    {at(`,"recorded_at":"yesterday"`), "bad_frame", "recorded_at"},
		"recorded_at zoneless":   {at(`,"recorded_at":"2026-01-31T12:00:00"`), "bad_frame", "recorded_at"},
		"recorded_at 30 Feb":     {at(`,"recorded_at":"2026-02-30T12:00:00Z"`), "bad_frame", "recorded_at"},
		"recorded_at empty":      {at(`,"recorded_at":""`), "bad_frame", "recorded_at"},
		"an unknown type":        {at(`,"type":"chat_message"`), "unknown_type", "type"},
		"a chat message":         {`{"message":"hi"}`, "missing_field", "latitude"},
		"not JSON":               {`here`, "bad_json", ""},
		"an array":               {`[1,2]`, "bad_json", ""},
		"NUL":                    {at(`,"recorded_at":"\u0000"`), "bad_text", "recorded_at"},
		"capitals":               {`{"Latitude":1,"longitude":2}`, "missing_field", "latitude"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, other := r.location(t, therapist), r.location(t, customer)
			s.send(t, c.frame)
			s.faulty(t, c.code, c.field)
			s.quiet(t)
			other.quiet(t)
		})
	}
}
