package frame_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

//go:generate go test . -run Golden -update

var update = flag.Bool("update", false, "write the golden files anew")

var (
	at  = time.Date(2026, 1, 31, 13, 0, 0, 123_999_999, time.FixedZone("", 3600))
	nan = math.NaN()
)

func message(text, id string) *room.Message {
	return &room.Message{
		ID: room.ID{1, 0xab, 15: 0xff}, Conversation: room.ID{15: 2}, Seq: 41, Sender: room.MaxID, SenderRole: room.Therapist,
		Text: text, ClientMessageID: id, At: at,
	}
}

func typed(messageType, metadata string) *room.Message {
	m := message("a photo", "")
	m.Type, m.Metadata = messageType, metadata
	return m
}

func page(more bool, messages ...room.Message) []byte {
	data, _ := frame.EncodeHistory(messages, more)
	return data
}

// serverFrames is every frame that a server sends, with all that it may have and
// with as little as it can, by its message in docs/asyncapi.yaml.
var serverFrames = []struct {
	name, message string
	text          []byte
}{
	{"connected to a chat", "chat_connected", frame.Encode(frame.Connected{Type: "connected", Ref: "0123456789abcdef", ConversationID: room.ID{}.String(), FirstSeq: new(int64(1)), LastSeq: new(int64(0))})},
	{"connected to a chat as one side", "chat_connected", frame.Encode(frame.Connected{
		Type: "connected", Ref: "0123456789abcdef", ConversationID: room.ID{}.String(), FirstSeq: new(int64(3)), LastSeq: new(int64(41)),
		DeliveredSeq: new(int64(41)), ReadSeq: new(int64(0)), Unread: new(20),
		Peer: &frame.Peer{ID: 2, Online: new(false), LastSeen: "2026-01-31T12:00:00.000Z", DeliveredSeq: 40, ReadSeq: 40},
	})},
	{"connected to an inbox", "inbox_connected", frame.Encode(frame.Connected{Type: "connected", Ref: "0123456789abcdef"})},
	{"a conversation", "conversation", frame.Encode(frame.Conversation{Type: "conversation", ConversationID: room.ID{}.String(), CustomerID: 1, TherapistID: 2})},
	{"a conversation with text", "conversation", frame.Encode(frame.Conversation{
		Type: "conversation", ConversationID: room.ID{}.String(), CustomerID: 1, TherapistID: 2, LastSeq: 41, LastMessageAt: "2026-01-31T12:00:00.123Z", Unread: 1000, Message: "hi",
	})},
	{"the end of an inbox", "inbox_complete", frame.InboxComplete},
	{"a receipt", "receipt", frame.Encode(frame.Receipt{Type: "read", UserID: 2, Seq: 41})},
	{"a receipt in an inbox", "receipt", frame.Encode(frame.Receipt{Type: "delivered", ConversationID: room.ID{}.String(), UserID: 2, Seq: 41})},
	{"typing", "typing", frame.Encode(frame.Typing{Type: "typing", UserID: 2, IsTyping: true, ExpiresInMS: 6000})},
	{"no longer typing", "typing", frame.Encode(frame.Typing{Type: "typing", UserID: 2})},
	{"presence", "presence", frame.Encode(frame.Presence{Type: "presence", UserID: 2, Online: true})},
	{"presence in an inbox", "presence", frame.Encode(frame.Presence{Type: "presence", ConversationID: room.ID{}.String(), UserID: 2, LastSeen: "2026-01-31T12:00:00.000Z"})},
	{"connected to a location", "location_connected", frame.Encode(frame.Connected{Type: "connected", Ref: "0123456789abcdef"})},
	{"resumed", "resumed", frame.Encode(frame.Resumed{Type: "resumed", FromSeq: 42, ToSeq: 41, FirstSeq: 1, LastSeq: 41})},
	{"resumed behind the end", "resumed", frame.Encode(frame.Resumed{Type: "resumed", FromSeq: 1, ToSeq: 0, FirstSeq: 1, Reset: true})},
	{"chat message", "chat_message", frame.AppendMessage(nil, message("hi", ""))},
	{"chat message with an id", "chat_message", frame.AppendMessage(nil, message("a\"b\\c\n\x01\x7f</script>\u2028ü💩", "m-\"1\""))},
	{"chat message of a type", "chat_message", frame.AppendMessage(nil, typed(room.TypeImage, `{"width":800}`))},
	{"ack", "ack", frame.AppendAck(nil, message("", ""), false, false)},
	{"ack of a duplicate", "ack", frame.AppendAck(nil, message("", "m-1"), true, false)},
	{"ack of another message", "ack", frame.AppendAck(nil, message("", "m-1"), true, true)},
	{"an empty page of history", "history", page(false)},
	{"a page of history", "history", page(true, *message("<hi>", "m-1"))},
	{"pong", "pong", frame.Pong},
	{"probe", "probe", frame.Encode(frame.Probe{Type: "probe", ID: "p-1"})},
	{"token expiring", "token_expiring", frame.Encode(frame.TokenExpiring{Type: "token_expiring", ExpiresIn: 30, ExpiresAt: "2026-01-31T12:00:00.000Z"})},
	{"a position", "location_update", frame.AppendPosition(nil, 2, room.Therapist, room.Position{Latitude: 0, Longitude: -180, Accuracy: nan, Heading: nan, Speed: nan}, at)},
	{"a whole position", "location_update", frame.AppendPosition(nil, 1, room.Customer, room.Position{
		Latitude: 48.208174, Longitude: 1e-7, Accuracy: math.MaxFloat64, Heading: 360, Speed: 0, RecordedAt: at,
	}, at)},
	{"reconnect", "reconnect", (&frame.Close{Code: frame.CodeRestart, Reason: "restart", After: 1800 * time.Millisecond}).Encode("0123456789abcdef")},
	{"reconnect later", "reconnect", (&frame.Close{Code: frame.CodeTryLater, Reason: "busy"}).Encode("0123456789abcdef")},
	{"an error that closes", "error", (&frame.Close{Code: frame.CodeIdentity, Reason: "token_expired"}).Encode("0123456789abcdef")},
	{"an error with a detail", "error", (&frame.Close{Code: frame.CodeInternal, Reason: "internal", Detail: "no internals", Cause: os.ErrPermission}).Encode("0123456789abcdef")},
	{"an error that does not", "error", frame.Encode(frame.Error{Type: "error", Code: "bad_frame", Detail: "<x>", Ref: "0123456789abcdef", Field: "message", ClientMessageID: "m-1"})},
	{"greeting", "greeting", frame.Encode(frame.Greeting{Type: "greeting", Replica: "a", Time: at.UTC().Format(frame.TimeLayout), Ref: "0123456789abcdef"})},
}

func TestGoldenServerFrames(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	var b strings.Builder
	seen := map[string]bool{}
	for _, f := range serverFrames {
		b.WriteString("== " + f.name + "\n" + string(f.text) + "\n")
		seen[f.message] = true
		if err := d.validate(t, f.message, f.text); err != nil {
			t.Errorf("%s is not as docs/asyncapi.yaml has it: %v", f.name, err)
		}
		if bytes.Contains(f.text, []byte("null")) || bytes.ContainsAny(f.text, "\n\r") || !utf8.Valid(f.text) {
			t.Errorf("%s is no frame: %q", f.name, f.text)
		}
	}
	for message, m := range d.at(t, "components", "messages") {
		if _, fromClients := m.(map[string]any)["examples"]; !fromClients && !seen[message] {
			t.Errorf("no frame here is a %s", message)
		}
	}
	path := "testdata/server.txt"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the frames have changed; if this is meant, run go generate ./internal/frame (-want +got):\n%s", diff)
	}
}

func TestEveryCloseExplainsItselfWithinWhatAControlFrameHolds(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	if !slices.IsSortedFunc(frame.Reasons, func(a, b frame.Reason) int { return a.Code - b.Code }) {
		t.Error("the reasons are not in the order of their codes")
	}
	words := map[string]int{}
	for _, r := range frame.Reasons {
		if code, twice := words[r.Word]; twice {
			t.Errorf("%s is a reason of %d and of %d", r.Word, code, r.Code)
		}
		words[r.Word] = r.Code
		c := &frame.Close{Code: r.Code, Reason: r.Word}
		if n := len(c.Text("0123456789abcdef")); n > 123 {
			t.Errorf("%s: a reason of %d bytes (RFC 6455 §5.5 leaves 123)", r.Word, n)
		}
		explain := c.Encode("0123456789abcdef")
		if r.Word == "bye" {
			if explain != nil {
				t.Errorf("a goodbye is explained by %s", explain)
			}
			continue
		}
		kind := "error"
		if r.Code == frame.CodeRestart || r.Code == frame.CodeTryLater {
			kind = "reconnect"
		}
		if err := d.validate(t, kind, explain); err != nil {
			t.Errorf("%s: %s: %v", r.Word, explain, err)
		}
		if found := frame.Find(r.Code, r.Word); found != r {
			t.Errorf("Find(%d, %s) is %+v", r.Code, r.Word, found)
		}
	}
	if found := frame.Find(4999, ""); found != (frame.Reason{}) {
		t.Errorf("Find of a code that there is not: %+v", found)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "hi", "\x00", "a\"b\\c", "\u2028</script>", "ü💩\U0010ffff", strings.Repeat("\n", 100), "\x7f\x1f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			t.Skip("nothing else is ever written")
		}
		text := frame.AppendString([]byte("x"), s)[1:]
		var back string
		if err := json.Unmarshal(text, &back); err != nil || back != s {
			t.Fatalf("%q is written as %s and read as %q (%v)", s, text, back, err)
		}
		reference := frame.Encode(s)
		if len(text) > len(reference)+4*len(s) || bytes.ContainsFunc(text, func(r rune) bool { return r < 0x20 }) {
			t.Fatalf("%q is written as %s", s, text)
		}
	})
}
