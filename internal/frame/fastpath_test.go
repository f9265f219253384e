package frame

import (
	"math"
	"testing"

	"github.com/roomspa/roomspa/internal/room"
)

// frames are the inputs of the test and the seeds of the fuzz test.
var frames = []string{
	`{"message":"hi"}`, `{"type":"chat_message","message":"hi","client_message_id":"a-1"}`, `{"type":"ping"}`, `{}`, `{ }`, ``, ` `, `{`, `[]`, `null`,
	` { "type" : "ping" , "message" : "x" , "client_message_id" : "7" } `, "\t{\n\"message\"\r:\"h\xc3\xa4\"}\n", `{"message":"a","message":"b"}`,
	`{"message":""}`, `{"message":null}`, `{"type":null,"message":"x"}`, `{"message":"a\nb"}`, `{"message":"\u0000"}`, `{"message":"\ud800"}`,
	`{"Message":"case"}`, `{"MESSAGE":"case","message":"x"}`, `{"message":"x","more":1}`, `{"message":"x",}`, `{"message":"x"}}`, `{"message":"x"} 1`,
	`{"message" "x"}`, `{"message":"x" "type":"ping"}`, `{"message":1}`, `{"type":"history","before_seq":3}`, `{"type":"typing"}`, "{\"message\":\"\x01\"}",
	"{\"message\":\"\xff\"}", `{"message":"x","client_message_id":null}`, `{"message":"x`, `{"message":"x"`, `{,"message":"x"}`, `{"":"x"}`,
	`{"latitude":52.52,"longitude":13.4}`, `{"latitude":-0,"longitude":1e2,"accuracy":8,"heading":0.5,"speed":1E-3,"recorded_at":"2026-01-31T12:00:00.123Z"}`,
	`{"type":"location_update","latitude":1,"longitude":2}`, `{"type":"location","latitude":1,"longitude":2}`, `{"type":"x","latitude":1,"longitude":2}`,
	`{"latitude":01,"longitude":2}`, `{"latitude":.5,"longitude":2}`, `{"latitude":1.,"longitude":2}`, `{"latitude":1e,"longitude":2}`, `{"latitude":+1,"longitude":2}`,
	`{"latitude":-,"longitude":2}`, `{"latitude":1e999,"longitude":2}`, `{"latitude":0x10,"longitude":2}`, `{"latitude":1_0,"longitude":2}`, `{"latitude":NaN,"longitude":2}`,
	`{"latitude":"1","longitude":2}`, `{"latitude":91,"longitude":2}`, `{"latitude":1,"longitude":2,"recorded_at":"yesterday"}`, `{"latitude":1,"longitude":2,"recorded_at":"1969-01-31T12:00:00Z"}`,
	`{"latitude":1,"longitude":2,"recorded_at":"2026-01-31T12:00:00+02:00"}`, `{"latitude":null,"longitude":2}`, `{"latitude":1 2,"longitude":2}`,
}

func TestFastPathAgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, text := range frames {
		agree(t, []byte(text))
	}
	for _, text := range []string{frames[0], frames[1], frames[2]} {
		if _, ok := decodeClientFast([]byte(text)); !ok {
			t.Errorf("%s does not take the fast path", text)
		}
	}
	for _, text := range []string{`{"latitude":52.52,"longitude":13.4}`, `{"latitude":-0,"longitude":1e2,"accuracy":8,"heading":0.5,"speed":1E-3,"recorded_at":"2026-01-31T12:00:00.123Z"}`} {
		if _, ok := decodePositionFast([]byte(text)); !ok {
			t.Errorf("%s does not take the fast path", text)
		}
	}
}

func FuzzFastPath(f *testing.F) {
	for _, text := range frames {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { agree(t, text) })
}

// agree fails the test if the fast path decodes text to something else than encoding/json does.
func agree(t *testing.T, text []byte) {
	t.Helper()
	if c, ok := decodeClientFast(text); ok {
		if want, err := decodeClient(text); err != nil || c != want {
			t.Errorf("%q: %+v, want %+v, %v", text, c, want, err)
		}
	}
	if p, ok := decodePositionFast(text); ok {
		if want, err := decodeLocated(text); err != nil || want.Type != "" || !same(p, want.Position) {
			t.Errorf("%q: %+v, want %+v, %v", text, p, want, err)
		}
	}
}

func same(a, b room.Position) bool {
	for _, f := range [][2]float64{{a.Latitude, b.Latitude}, {a.Longitude, b.Longitude}, {a.Accuracy, b.Accuracy}, {a.Heading, b.Heading}, {a.Speed, b.Speed}} {
		if math.Float64bits(f[0]) != math.Float64bits(f[1]) && !(math.IsNaN(f[0]) && math.IsNaN(f[1])) {
			return false
		}
	}
	return a.RecordedAt.Equal(b.RecordedAt)
}
