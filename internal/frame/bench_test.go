package frame_test

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// said is a message as clients commonly send one.
const said = `{"type":"chat_message","message":"Good morning, I am on my way and will be there in ten minutes.","client_message_id":"01hzx3v7r2m5k8q9w4t6y0abcd"}`

func BenchmarkDecode(b *testing.B) {
	for name, text := range map[string]string{
		"message": said,
		"escaped": `{"type":"chat_message","message":"\"Ten minutes\", she said.\nFour\u0020words more.","client_message_id":"01hzx3v7r2m5k8q9w4t6y0abcd"}`,
		"ping":    `{"type":"ping"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := frame.Decode([]byte(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodePosition(b *testing.B) {
	for name, text := range map[string]string{
		"bare":  `{"latitude":52.52001,"longitude":13.40495}`,
		"whole": `{"latitude":52.52001,"longitude":13.40495,"accuracy":8,"heading":271.5,"speed":1.4,"recorded_at":"2026-01-31T12:00:00.123Z"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := frame.DecodePosition([]byte(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncodingJSON decodes frames without the fast path, for comparison with
// BenchmarkDecode and BenchmarkDecodePosition.
func BenchmarkEncodingJSON(b *testing.B) {
	const bare = `{"latitude":52.52001,"longitude":13.40495}`
	const whole = `{"latitude":52.52001,"longitude":13.40495,"accuracy":8,"heading":271.5,"speed":1.4,"recorded_at":"2026-01-31T12:00:00.123Z"}`
	client := func(text []byte) error { _, err := frame.DecodeClientJSON(text); return err }
	position := func(text []byte) error { _, err := frame.DecodePositionJSON(text); return err }
	for _, bb := range []struct {
		name, text string
		decode     func([]byte) error
	}{
		{"message", said, client},
		{"ping", `{"type":"ping"}`, client},
		{"bare position", bare, position},
		{"whole position", whole, position},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bb.decode([]byte(bb.text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	m := &room.Message{
		Seq: 1234, Sender: 1, SenderRole: room.Customer, ClientMessageID: "01hzx3v7r2m5k8q9w4t6y0abcd", At: time.Now(),
		Text: "Good morning, I am on my way and will be there in ten minutes.",
	}
	l, err := frame.DecodePosition([]byte(`{"latitude":52.52001,"longitude":13.40495,"accuracy":8,"heading":271.5,"speed":1.4}`))
	if err != nil {
		b.Fatal(err)
	}
	last := int64(41)
	buf := make([]byte, 0, 1024)
	for name, encode := range map[string]func(){
		"message":  func() { _ = frame.AppendMessage(buf, m) },
		"ack":      func() { _ = frame.AppendAck(buf, m, false, false) },
		"position": func() { _ = frame.AppendPosition(buf, 1, room.Customer, l.Position, m.At) },
		"connected": func() {
			_ = frame.Encode(frame.Connected{Type: frame.TypeConnected, Ref: "0123456789abcdef", ConversationID: m.ID.String(), LastSeq: &last})
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				encode()
			}
		})
	}
}
