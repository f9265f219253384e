package chat_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/chat"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// A stage is one consumer with nothing around it: the store answers at once, the
// layer takes everything and carries nothing.
type stage struct {
	chat.Store
	chat.Receipts

	log     logging.Conn
	seq     int64
	deliver func(event.Event)
}

func (s *stage) Conversation(context.Context, room.Room, room.UserID) (room.Conversation, error) {
	return room.Conversation{ID: room.ID{1}}, nil
}

func (s *stage) Append(_ context.Context, c room.ID, d room.Draft) (room.Message, bool, error) {
	s.seq++
	return room.Message{
		ID: room.ID{2}, Conversation: c, Seq: s.seq, Sender: d.Sender, SenderRole: d.SenderRole, Text: d.Text,
		ClientMessageID: d.ClientMessageID, At: time.Unix(1_800_000_000, 0),
	}, false, nil
}

func (s *stage) Join(_ context.Context, _ string, deliver func(event.Event), _ func(bool)) (func(), error) {
	s.deliver = deliver
	return func() {}, nil
}

func (s *stage) Publish(_ string, _ event.Body, done func(error)) { done(nil) }
func (s *stage) Health() (time.Time, error)                       { return time.Time{}, nil }
func (s *stage) Wake()                                            {}
func (s *stage) Renew(string) error                               { return nil }
func (s *stage) PausePings(time.Duration)                         {}
func (*stage) Account() *budget.Account                           { return &budget.Account{} }
func (s *stage) Log() *logging.Conn                               { return &s.log }

func opened(b *testing.B) (*stage, *chat.Consumer) {
	b.Helper()
	s := &stage{log: logging.Conn{Log: slog.New(slog.DiscardHandler), Ref: "0123456789abcdef"}}
	c, ok := chat.New(chat.Options{MaxMessageLength: 4000}, s, s, s, prometheus.NewRegistry()).Endpoint().New(endpoint.Peer{
		User: &room.User{ID: 1, Role: room.Customer}, IDs: []room.UserID{1, 2}, Group: "chat_1_2", Socket: s,
	}).(*chat.Consumer)
	if !ok {
		b.Fatal("not a chat consumer")
	}
	if err := c.Join(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := c.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	if m, err := c.Next(b.Context(), true); err != nil || m.Data == nil {
		b.Fatal(err)
	}
	return s, c
}

// From the channel layer to the writer: one message at a time, and many that wait.
func BenchmarkDeliver(b *testing.B) {
	for _, waiting := range []int{1, 16} {
		b.Run(fmt.Sprintf("%dwaiting", waiting), func(b *testing.B) {
			s, c := opened(b)
			events, at := make([]event.Event, waiting), time.Unix(0, time.Now().UnixNano()) // as it was opened
			for i := range events {
				events[i] = event.Event{Kind: event.KindMessage, At: at, Body: make([]byte, 32+300)}
			}
			seq := uint64(0)
			ctx := b.Context()
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += waiting {
				for _, e := range events {
					seq++
					binary.BigEndian.PutUint64(e.Body, seq)
					s.deliver(e)
				}
				for range events {
					if m, err := c.Next(ctx, true); err != nil || m.Data == nil {
						b.Fatalf("%v, %v", m, err)
					}
				}
				if m, _ := c.Next(ctx, true); m.Data != nil {
					b.Fatal("there is more than was delivered")
				}
			}
		})
	}
}

// A message of the client's: decoded, stored, acknowledged, encoded, published.
func BenchmarkReceive(b *testing.B) {
	_, c := opened(b)
	text := []byte(`{"type":"chat_message","message":"Good morning, I am on my way and will be there in ten minutes.","client_message_id":"01hzx3v7r2m5k8q9w4t6y0abcd"}`)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Receive(ctx, frame.Message{Data: text}); err != nil {
			b.Fatal(err)
		}
		if m, err := c.Next(ctx, true); err != nil || m.Data == nil {
			b.Fatal("there is no acknowledgement")
		}
	}
}
