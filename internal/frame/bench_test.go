package frame_test

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// said is a message as clients commonly send one.
const said = `{"type":"chat_message","message":"Good morning, I am on my way and will be there in ten minutes.","client_message_id":"01hzx3v7r2m5k8q9w4t6y0abcd"}`

// BenchmarkDecode decodes frames that take the fast path (message, ping), one that does
// not (escaped), and the first two with encoding/json for comparison.
func BenchmarkDecode(b *testing.B) {
	const escaped = `{"type":"chat_message","message":"\"Ten minutes\", she said.\nFour\u0020words more.","client_message_id":"01hzx3v7r2m5k8q9w4t6y0abcd"}`
	benchmarkDecode(b, "message", said, frame.Decode)
	benchmarkDecode(b, "escaped", escaped, frame.Decode)
	benchmarkDecode(b, "ping", `{"type":"ping"}`, frame.Decode)
	benchmarkDecode(b, "message by encoding/json", said, frame.DecodeClientJSON)
	benchmarkDecode(b, "ping by encoding/json", `{"type":"ping"}`, frame.DecodeClientJSON)
}

// BenchmarkDecodePosition decodes positions by the fast path and by encoding/json.
func BenchmarkDecodePosition(b *testing.B) {
	const bare = `{"latitude":52.52001,"longitude":13.40495}`
	const whole = `{"latitude":52.52001,"longitude":13.40495,"accuracy":8,"heading":271.5,"speed":1.4,"recorded_at":"2026-01-31T12:00:00.123Z"}`
	benchmarkDecode(b, "bare", bare, frame.DecodePosition)
	benchmarkDecode(b, "whole", whole, frame.DecodePosition)
	benchmarkDecode(b, "bare by encoding/json", bare, frame.DecodePositionJSON)
	benchmarkDecode(b, "whole by encoding/json", whole, frame.DecodePositionJSON)
}

func benchmarkDecode[T any](b *testing.B, name, text string, decode func([]byte) (T, error)) {
	b.Run(name, func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decode([]byte(text)); err != nil {
				b.Fatal(err)
			}
		}
	})
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
		"ack":      func() { _ = frame.AppendAck(buf, m, false) },
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
