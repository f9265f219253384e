package frame_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/frame"
)

func TestAnOutlineHasNothingThatAClientChose(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]frame.Outline{
		`{"type":"chat_message","message":"secret","client_message_id":"secret","seq":7}`: {Type: "chat_message", Seq: 7},
		`{"type":"secret","code":"secret"}`:                                               {Type: "other"},
		`{"type":"error","code":"too_large","detail":"secret"}`:                           {Type: "error", Code: "too_large"},
		`{"type":"error","code":"secret"}`:                                                {Type: "error", Code: "other"},
		`{"type":"chat_message","code":"too_large"}`:                                      {Type: "chat_message"},
		`{"latitude":52.5,"longitude":13.4}`:                                              {Type: "other"},
		`secret`:                                                                          {Type: "other"}, `{"type":["secret"]}`: {Type: "other"}, ``: {Type: "other"},
	} {
		if got := frame.Outlined(frame.Message{Data: []byte(text)}); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	if got := frame.Outlined(frame.Message{Data: []byte(`{"type":"ping"}`), Binary: true}); got != (frame.Outline{Type: "binary"}) {
		t.Errorf("binary: %+v", got)
	}
}
