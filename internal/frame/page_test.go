package frame_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

func TestAPageIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		all  bool
	}{
		"nothing":        {"", true},
		"short texts":    {"hello", true},
		"CJK":            {strings.Repeat("予約", 2000), false},
		"emoji":          {strings.Repeat("😀", 4000), false},
		"escapes":        {strings.Repeat("\x01", 4000), false},
		"one is too big": {strings.Repeat("\x01", frame.MaxPage), false},
	} {
		messages := make([]room.Message, 200)
		for i := range messages {
			messages[i] = room.Message{Seq: int64(i + 1), SenderRole: room.Customer, Text: test.text, ClientMessageID: "id", At: time.Unix(1, 0)}
		}
		for _, more := range []bool{false, true} {
			for kind, encode := range map[string]func([]room.Message, bool) ([]byte, int){"history": frame.EncodeHistory, "": frame.EncodeMessages} {
				data, n := encode(messages, more)
				var got struct {
					Type     string
					Messages []struct {
						Seq     int64
						Message string
					}
					HasMore bool `json:"has_more"`
				}
				if err := json.Unmarshal(data, &got); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got.Type != kind || len(got.Messages) != n || got.HasMore != (more || !test.all) || test.all != (n == 200) {
					t.Errorf("%s: type %q, %d messages of %d, more %v", name, got.Type, len(got.Messages), n, got.HasMore)
				}
				if len(data) > frame.MaxPage && n > 1 || n < 200 && n > 1 && len(data) < frame.MaxPage-30<<10 {
					t.Errorf("%s: %d bytes", name, len(data))
				}
				for i, m := range got.Messages {
					if m.Seq != int64(200-n+i+1) || m.Message != test.text {
						t.Fatalf("%s: message %d at %d", name, m.Seq, i)
					}
				}
			}
		}
	}
	if data, n := frame.EncodeHistory(nil, false); n != 0 || string(data) != `{"type":"history","messages":[],"has_more":false}` {
		t.Errorf("an empty page: %s", data)
	}
}
