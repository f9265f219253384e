package chat_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestSince(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	for _, since := range []string{"x", "", "-1", "+1", "1.0", "1e3", " 1", "0x1", "9223372036854775808", "null"} {
		t.Run("refused: "+since, func(t *testing.T) {
			t.Parallel()
			r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", url.Values{"since": {since}}).ExpectRefusal(t, 4000, "bad_since")
			r.ConnectAs(t, world.Customer, "/ws/location/1/2/", url.Values{"since": {since}}).Expect(t, "connected") // ignored
		})
	}
	for _, query := range []string{"since=%zz", "since=1;2", "since", "%73ince=%", "since=1&id=7", "since=1&id=%zz"} {
		t.Run("refused, though it cannot be decoded: "+query, func(t *testing.T) {
			t.Parallel()
			r.ConnectAs(t, world.Customer, "/ws/chat/1/2/?"+query, nil).ExpectRefusal(t, 4000, "bad_since")
		})
	}
	t.Run("in an empty conversation", func(t *testing.T) {
		t.Parallel()
		s := r.ConnectAs(t, world.OtherCustomer, "/ws/chat/3/4/", url.Values{"since": {"0"}})
		if g := s.Expect(t, "connected"); g.LastSeq == nil || *g.LastSeq != 0 {
			t.Errorf("connected: %s", g.Raw)
		}
		if g := s.Expect(t, "resumed"); g.Raw != `{"type":"resumed","from_seq":1,"to_seq":0,"first_seq":1,"last_seq":0}` {
			t.Errorf("resumed: %s", g.Raw)
		}
	})
}

func TestAFrameThatIsRefused(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
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
			"system type":                 {`{"message":"x","message_type":"system"` + id + `}`, "out_of_range", "message_type", "m-1"},
			"type of the message":         {`{"message":"x","message_type":"Bad Type"` + id + `}`, "out_of_range", "message_type", "m-1"},
			"type of 33 letters":          {`{"message":"x","message_type":"` + strings.Repeat("x", 33) + `"}`, "out_of_range", "message_type", ""},
			"type of the message 7":       {`{"message":"x","message_type":7}`, "bad_frame", "message_type", ""},
			"metadata a text":             {`{"message":"x","metadata":"{}"` + id + `}`, "bad_frame", "metadata", "m-1"},
			"metadata an array":           {`{"message":"x","metadata":[{}]}`, "bad_frame", "metadata", ""},
			"metadata too long":           {`{"message":"x","metadata":{"a":"` + strings.Repeat("x", 4089) + `"}}`, "too_long", "metadata", ""},
			"metadata too deep":           {`{"message":"x","metadata":` + nested(17) + `}`, "bad_frame", "metadata", ""},
			"metadata too large a number": {`{"message":"x","metadata":{"a":[1e999]}}`, "bad_frame", "metadata", ""},
			"metadata with NUL":           {`{"message":"x","metadata":{"a":"\u0000"}}`, "bad_text", "metadata", ""},
			"metadata with half a pair":   {`{"message":"x","metadata":{"\ud83d":1}}`, "bad_text", "metadata", ""},
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
				s := r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil)
				other := r.ConnectAs(t, world.Therapist, "/ws/chat/1/2/", nil)
				s.Expect(t, "connected")
				other.Expect(t, "connected")
				s.Send(t, c.frame)
				if g := s.ExpectError(t, c.code, c.field); g.ClientMessageID != c.id {
					t.Errorf("client_message_id is %q, want %q", g.ClientMessageID, c.id)
				}
				s.ExpectNothing(t)
				other.ExpectNothing(t)
			})
		}
	})
	if n := world.Query[int](t, w, "SELECT count(*) FROM roomspa.messages"); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}
