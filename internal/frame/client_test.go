package frame_test

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]frame.Client{
		`{"message":"hi"}`:                                     {Type: "chat_message", Message: "hi"},
		` {"message" : "hi"} ` + "\r\n\t":                      {Type: "chat_message", Message: "hi"},
		`{"type":"chat_message","message":"hi","x":[{}]}`:      {Type: "chat_message", Message: "hi"},
		`{"type":null,"message":"hi"}`:                         {Type: "chat_message", Message: "hi"},
		`{"message":"hi","Message":1,"TYPE":"x","x":"\u0000"}`: {Type: "chat_message", Message: "hi"},
		`{"message":"","client_message_id":"m"}`:               {Type: "chat_message", ClientMessageID: "m"},
		`{"message":"  hi \n"}`:                                {Type: "chat_message", Message: "  hi \n"},
		`{"message":"\ud83d\udca9 \ufffd \\u0000 \\ud800"}`:    {Type: "chat_message", Message: "💩 \ufffd \\u0000 \\ud800"},
		`{"message":"\uD83D\uDCA9"}`:                           {Type: "chat_message", Message: "💩"},
		`{"message":"a","message":"b"}`:                        {Type: "chat_message", Message: "b"},
		`{"type":"ping"}`:                                      {Type: "ping"},
		`{"type":"probe","id":"p-1"}`:                          {Type: "probe", ProbeID: "p-1"},
		`{"type":"ping","message":"x","client_message_id":""}`: {Type: "ping"},
		`{"type":"history"}`:                                   {Type: "history"},
		`{"type":"history","before_seq":1,"limit":200}`:        {Type: "history", BeforeSeq: 1, Limit: 200},
		`{"type":"history","before_seq":null,"limit":null}`:    {Type: "history"},
		`{"type":"auth","token":"a.b.c"}`:                      {Type: "auth", Token: "a.b.c"},
		`{"type":"read","seq":41.0}`:                           {Type: "read", Seq: 41},
		`{"type":"history","before_seq":4.1e1,"limit":50.0}`:   {Type: "history", BeforeSeq: 41, Limit: 50},
		"\ufeff" + `{"message":"hi"}`:                          {Type: "chat_message", Message: "hi"},
	} {
		if want.Limit == 0 {
			want.Limit = frame.DefaultHistoryLimit
		}
		got, err := frame.Decode([]byte(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
}

func TestDecodePosition(t *testing.T) {
	t.Parallel()
	all := room.Position{Latitude: -90, Longitude: 180, Accuracy: 0, Heading: 359.5, Speed: 1e300, RecordedAt: time.Date(2026, 1, 31, 11, 0, 0, 5e8, time.UTC)}
	for text, want := range map[string]frame.Located{
		`{"latitude":1,"longitude":-2.5}`:                                    {Position: room.Position{Latitude: 1, Longitude: -2.5, Accuracy: nan, Heading: nan, Speed: nan}},
		`{"type":"location_update","latitude":1,"longitude":2,"speed":null}`: {Position: room.Position{Latitude: 1, Longitude: 2, Accuracy: nan, Heading: nan, Speed: nan}},
		`{"type":"location","latitude":-90,"longitude":180,"accuracy":0,"heading":359.5,"speed":1e300,"recorded_at":"2026-01-31T12:00:00.5+01:00"}`: {Position: all},
		`{"type":"ping","latitude":91}`:   {Type: "ping"},
		`{"type":"auth","token":"a.b.c"}`: {Type: "auth", Token: "a.b.c"},
	} {
		got, err := frame.DecodePosition([]byte(text))
		if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
}

// What a device does not know, or what makes no sense, costs that value and not the position.
func TestOptionalValuesThatMakeNoSenseAreLeftOut(t *testing.T) {
	t.Parallel()
	want := frame.Located{Position: room.Position{Latitude: 1, Longitude: 2, Accuracy: nan, Heading: nan, Speed: nan}}
	for _, more := range []string{
		`"heading":-1,"speed":-1.0`, `"heading":361,"speed":"fast"`, `"accuracy":null,"heading":null`, `"accuracy":"8","heading":{},"speed":[1]`,
		`"accuracy":1e400,"speed":1e400`, `"heading":-1e-9`, `"recorded_at":12345`, `"recorded_at":"now"`, `"recorded_at":"\u0000"`, `"recorded_at":null`,
		`"recorded_at":"9999-12-31T23:59:59-00:01"`, `"recorded_at":"1970-01-01T00:00:00+00:01"`, `"recorded_at":"0000-01-01T00:00:00Z"`, `"recorded_at":"10000-01-01T00:00:00Z"`,
		`"heading":NaN,"speed":-Infinity,"accuracy":Infinity`, `"speed":nan,"heading":-inf`, `"note":"NaN \" NaN","heading":NaN`,
		`"recorded_at":"1970-01-01T00:00:00Z"`, `"recorded_at":"1980-01-06T00:00:00Z"`, `"recorded_at":"2007-04-15T12:00:00Z"`,
	} {
		got, err := frame.DecodePosition([]byte(`{"latitude":1,"longitude":2,` + more + `}`))
		if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", more, err, diff)
		}
	}
	for _, text := range []string{`{"latitude":1,"longitude":2,"accuracy":-1}`, `{"latitude":"1","longitude":2}`, `{"latitude":1,"longitude":null}`, `{"latitude":NaN,"longitude":2}`} {
		if got, err := frame.DecodePosition([]byte(text)); err == nil {
			t.Errorf("%s was read as %+v", text, got)
		}
	}
	for _, text := range []string{`{"latitude":1e999,"longitude":2}`, `{"latitude":1,"longitude":-1e999}`} {
		if _, err := frame.DecodePosition([]byte(text)); err == nil || !strings.Contains(err.Error(), "must be between") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// invalid holds every refusal to its form: a word and a sentence after which the
// socket stays open, and the close 1007 for text that is not UTF-8, and only then.
func invalid(t *testing.T, text []byte, err error) {
	t.Helper()
	if c, ok := errors.AsType[*frame.Close](err); ok {
		if c.Code != 1007 || utf8.Valid(text) {
			t.Fatalf("%q closes the socket: %v", text, err)
		}
		return
	}
	bad, ok := errors.AsType[*room.Invalid](err)
	if !ok || !utf8.Valid(text) || !regexp.MustCompile(`^[a-z0-9_]+$`).MatchString(bad.Code) || bad.Detail == "" || !utf8.ValidString(bad.Detail) {
		t.Fatalf("%q is refused by %#v", text, err)
	}
}

// whole fails the test if a text that was accepted is not what the client wrote.
func whole(t *testing.T, text []byte, s string) {
	t.Helper()
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		t.Fatalf("%q was accepted as %q", text, s)
	}
	if strings.ContainsRune(s, utf8.RuneError) && !strings.Contains(string(text), "\ufffd") && !strings.Contains(strings.ToLower(string(text)), `\ufffd`) {
		t.Fatalf("%q was changed to %q", text, s)
	}
}

var seeds = []string{
	``, `{}`, `[]`, `null`, `{"message":"hi"}`, `{"type":"chat_message","message":"hi","client_message_id":"m-1"}`, `{"type":"ping"}`,
	`{"type":"delivered","seq":41}`, `{"type":"auth","token":"a.b.c"}`, `{"message":"\ud83d\udca9"}`, `{"message":"\ud83d"}`,
	`{"message":"\udca9\ud83d"}`, `{"message":"\u0000"}`, "{\"message\":\"\xff\"}", "{\"message\":\"\xed\xa0\x80\"}", `{"message":42}`,
	`{"message":"\\ud83d"}`, `{"message":"\\\ud83d"}`, `{"\ud83d":1,"message":"x"}`, `{"MESSAGE":"x"}`, `{"message":"\ufffd"}`, `{"limit":1e9}`,
	`{"latitude":48.2,"longitude":16.3,"accuracy":5,"heading":90,"speed":1.4,"recorded_at":"2026-01-31T12:00:00Z"}`,
	`{"latitude":91,"longitude":0}`, `{"latitude":1e-320,"longitude":-0.0,"speed":1.7976931348623157e308}`, `{"latitude":1e400,"longitude":0}`,
	`{"latitude":0,"longitude":0,"recorded_at":"9999-12-31T23:59:59-23:59"}`, `{"latitude":0,"longitude":0,"recorded_at":"1970-01-01T00:00:00+01:00"}`,
	`{"latitude":0,"longitude":0,"recorded_at":"2026-01-31T12:00:00,123456789Z"}`, strings.Repeat("[", 20_000),
}

// addExamples adds the examples of docs/asyncapi.yaml, which have each type of frame, to the seeds.
func addExamples(f *testing.F) {
	f.Helper()
	for _, m := range readDocument(f).at(f, "components", "messages") {
		examples, _ := m.(map[string]any)["examples"].([]any)
		for _, e := range examples {
			text, err := json.Marshal(e.(map[string]any)["payload"])
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	addExamples(f)
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := frame.Decode(text)
		if err != nil {
			invalid(t, text, err)
			return
		}
		whole(t, text, c.Message)
		whole(t, text, c.ClientMessageID)
		if c.Limit < 1 || c.Limit > frame.MaxHistoryLimit || c.BeforeSeq < 0 {
			t.Fatalf("%q was accepted as %+v", text, c)
		}
		// again has the members of every frame type. A new member belongs here too.
		again := map[string]any{
			"type": c.Type, "client_message_id": c.ClientMessageID, "limit": c.Limit, "token": c.Token,
			"seq": c.Seq, "conversation_id": c.ConversationID, "is_typing": c.IsTyping, "id": c.ProbeID,
		}
		if c.Type == frame.TypeChatMessage {
			again["message"] = c.Message
		}
		if c.BeforeSeq > 0 {
			again["before_seq"] = c.BeforeSeq
		}
		b, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := frame.Decode(b); err != nil || (back != c && c.Type != frame.TypePing && c.Type != frame.TypeChatMessage) || back.Message != c.Message || back.ClientMessageID != c.ClientMessageID {
			t.Fatalf("%q is %+v, written as %s, read as %+v (%v)", text, c, b, back, err)
		}
	})
}

func FuzzDecodePosition(f *testing.F) {
	addExamples(f)
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := frame.DecodePosition(text)
		if err != nil {
			invalid(t, text, err)
			return
		}
		if l.Type != "" {
			return
		}
		p := l.Position
		if bad := p.Normalize(); bad != nil || math.IsInf(p.Accuracy, 0) || math.IsInf(p.Speed, 0) {
			t.Fatalf("%q was accepted as %+v", text, p)
		}
		b := frame.AppendPosition(nil, 1, room.Customer, p, time.Unix(0, 0))
		back, err := frame.DecodePosition(b)
		p.RecordedAt = p.RecordedAt.Truncate(time.Millisecond)
		if diff := cmp.Diff(p, back.Position, cmpopts.EquateNaNs()); err != nil || diff != "" {
			t.Fatalf("%q is %+v, written as %s (%v)\n%s", text, p, b, err, diff)
		}
	})
}
