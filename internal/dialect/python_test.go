package dialect

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

func TestTextsAreThoseOfTheFrames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"message":"hi"}`:                                  "hi",
		`{"message":"  hi there \n"}`:                       "hi there",
		`{"type":"message","message":"typed","x":[1,{}]}`:   "typed",
		`{"type":"ping","message":"typed"}`:                 "typed",
		`{"message":"a","message":"b"}`:                     "b",
		" \n{ \"message\" : \"x\" }\t":                      "x",
		`{"message":"\u001c\u3000x\u2028\u0085"}`:           "x",
		`{"message":"\u200bx"}`:                             "\u200bx", // no white space
		`{"message":"💆\ud83d\udc86"}`:                       "💆💆",
		`{"message":"` + strings.Repeat("x", 60_000) + `"}`: strings.Repeat("x", 60_000),
		`{"message":" \u00a0\u001f"}`:                       "!empty_message",
		`{"message":""}`:                                    "!empty_message",
		`{"message":null}`:                                  "!empty_message",
		`{"foo":1}`:                                         "!empty_message",
		`{"Message":"x"}`:                                   "!empty_message",
		`{}`:                                                "!empty_message",
		`{"message":1}`:                                     "!bad_frame",
		`{"message":["x"]}`:                                 "!bad_frame",
		`{"message":"a\u0000b"}`:                            "!bad_text",
		`{"message":"a\ud83d"}`:                             "!bad_text",
		`{"message":"\udc86"}`:                              "!bad_text",
		`["message"]`:                                       "!bad_json",
		`"message"`:                                         "!bad_json",
		`hi`:                                                "!bad_json",
		``:                                                  "!bad_json",
		`{"message":"x"`:                                    "!bad_json",
		"{\"message\":\"a\nb\"}":                            "!bad_json",
		"{\"message\":\"\xff\"}":                            "close 1007",
	} {
		got, err := decodeText(frame.Message{Data: []byte(text)})
		switch e := err.(type) { //nolint:errorlint // never wrapped
		case *room.Invalid:
			got = "!" + e.Code
		case *frame.Close:
			got = "close 1007"
		}
		if got != want {
			t.Errorf("%.60s: %.60q, want %.60q", text, got, want)
		}
	}
	if _, err := decodeText(frame.Message{Data: []byte(`{"message":"x"}`), Binary: true}); err == nil {
		t.Error("a binary frame has a text")
	}
}

func FuzzDecodeText(f *testing.F) {
	for _, s := range []string{`{"message":" x "}`, `{"message":"\ud83d\udc86"}`, `{"message":null}`, `[1]`, `{"message":"a\u0000"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := decodeText(frame.Message{Data: text})
		var plain map[string]any
		if json.Unmarshal(text, &plain) != nil && err == nil {
			t.Fatalf("%q is no JSON object and has the text %q", text, got)
		}
		if err != nil {
			return
		}
		sent, ok := plain["message"].(string)
		if !ok || strings.TrimFunc(sent, isSpace) != got || got == "" {
			t.Fatalf("%q has the text %q", text, got)
		}
		// What is sent back says the same, in ASCII.
		encoded := append(appendPython([]byte{'"'}, messageText(frame.AppendMessage(nil, &room.Message{Text: got}))), '"')
		var back string
		if err := json.Unmarshal(encoded, &back); err != nil || back != got {
			t.Fatalf("%q comes back as %q (%v)", got, back, err)
		}
		for _, c := range encoded {
			if c < 0x20 || c >= 0x7f {
				t.Fatalf("%q is not ASCII", encoded)
			}
		}
	})
}

func TestPositionsAreWhatPythonCountsAsTrue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		`{"latitude":52.520,"longitude":13}`:                           {"52.520", "13"},
		`{"type":"ping","latitude": "1.5" ,"longitude":-1e2}`:          {`"1.5"`, "-1e2"},
		`{"latitude":91,"longitude":181,"accuracy":-1}`:                {"91", "181"},
		`{"latitude":"0","longitude":[0]}`:                             {`"0"`, "[0]"},
		`{"latitude":true,"longitude":{"a": 1}}`:                       {"true", `{"a": 1}`},
		`{"latitude":" ","longitude":1e400}`:                           {`" "`, "1e400"},
		`{"latitude":"\ud800","longitude":1}`:                          {`"\ud800"`, "1"},
		`{"latitude":0,"longitude":1}`:                                 {},
		`{"latitude":1,"longitude":-0.0}`:                              {},
		`{"latitude":1,"longitude":0e5}`:                               {},
		`{"latitude":1}`:                                               {},
		`{"longitude":1}`:                                              {},
		`{"latitude":null,"longitude":1}`:                              {},
		`{"latitude":"","longitude":1}`:                                {},
		`{"latitude":[ ],"longitude":1}`:                               {},
		`{"latitude":{},"longitude":1}`:                                {},
		`{"latitude":false,"longitude":1}`:                             {},
		`{"Latitude":1,"Longitude":2}`:                                 {},
		`[1,2]`:                                                        {},
		`x`:                                                            {},
		`{"latitude":1,"longitude":2,"latitude":3,"x":{"latitude":4}}`: {"3", "2"},
	} {
		latitude, longitude, err := decodePosition(frame.Message{Data: []byte(text)})
		if got := [2]string{string(latitude), string(longitude)}; got != want || (err != nil) != (want == [2]string{}) {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
}

// TestFramesAreThoseOfThePredecessor compares with what Python's json.dumps writes.
func TestFramesAreThoseOfThePredecessor(t *testing.T) {
	t.Parallel()
	const at = 1_769_860_800_123_456
	for text, want := range map[string]string{
		"hi":                     `hi`,
		`a "quote", a \ and a /`: `a \"quote\", a \\ and a /`,
		"\b\f\n\r\t\x01\x1f\x7f": `\b\f\n\r\t\u0001\u001f\u007f`,
		"ü 你 💆 </script>&\u2028": `\u00fc \u4f60 \ud83d\udc86 </script>&\u2028`,
		`,"message":"` + "x":     `,\"message\":\"x`,
		`\u0041`:                 `\\u0041`,
	} {
		m := room.Message{Seq: 4, Number: 17, Sender: 1, SenderRole: room.Customer, Text: text, Metadata: `{"message":"no"}`, ClientMessageID: "c"}
		got := encodeMessage(frame.Message{Data: frame.AppendMessage(nil, &m), Seq: 4, Number: 17, Sender: 1, At: at})
		if diff := cmp.Diff(`{"type": "message", "message": "`+want+`", "sender_id": "1", "message_id": "17", "timestamp": "2026-01-31T12:00:00.123456+00:00"}`, string(got)); diff != "" {
			t.Error(diff)
		}
	}
	for escaped, want := range map[string]string{`\u0041\/\u0009\u000A\u000d\u0008\u000c\u0022\u005C`: `A/\t\n\r\b\f\"\\`, `\uD83D\uDC86\ud800`: `\ud83d\udc86\ud800`} {
		if got := string(appendPython(nil, []byte(escaped))); got != want {
			t.Errorf("%s is written as %s, want %s", escaped, got, want)
		}
	}
}
