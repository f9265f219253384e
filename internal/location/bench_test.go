package location_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/location"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// A stage is one consumer with nothing around it: the layer takes everything and
// carries nothing.
type stage struct {
	log     logging.Conn
	deliver func(event.Event)
}

func (s *stage) Join(_ context.Context, _ string, deliver func(event.Event), _ func(bool)) (func(), error) {
	s.deliver = deliver
	return func() {}, nil
}

func (s *stage) Publish(_ string, _ event.Body, done func(error))            { done(nil) }
func (s *stage) Save(room.Room, event.Position, func(error))                 {}
func (s *stage) Last(context.Context, room.Room) ([]event.Event, error)      { return nil, nil }
func (s *stage) SaveReported(room.Room, room.UserID, time.Time, func(error)) {}
func (s *stage) Reported(context.Context, room.Room, room.UserID) (at time.Time, err error) {
	return at, nil
}
func (s *stage) Wake()                    {}
func (s *stage) Renew(string) error       { return nil }
func (s *stage) PausePings(time.Duration) {}
func (*stage) Account() *budget.Account   { return &budget.Account{} }
func (s *stage) Log() *logging.Conn       { return &s.log }

func opened(b *testing.B) (*stage, *location.Consumer) {
	b.Helper()
	s := &stage{log: logging.Conn{Log: slog.New(slog.DiscardHandler), Ref: "0123456789abcdef"}}
	c, ok := location.New(location.Options{}, s, s, prometheus.NewRegistry()).Endpoint().New(endpoint.Peer{
		User: &room.User{ID: 1, Role: room.Customer}, IDs: []room.UserID{1, 2}, Group: "location_1_2", Socket: s,
	}).(*location.Consumer)
	if !ok {
		b.Fatal("not a location consumer")
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

// From the channel layer to the writer.
func BenchmarkDeliver(b *testing.B) {
	s, c := opened(b)
	e := event.Event{Kind: event.KindPosition, Body: event.Position{User: 2, Frame: make([]byte, 200)}.AppendTo(nil)}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		e.Counter++
		s.deliver(e)
		if m, err := c.Next(ctx, true); err != nil || m.Data == nil {
			b.Fatalf("%v, %v", m, err)
		}
		if m, _ := c.Next(ctx, true); m.Data != nil {
			b.Fatal("there is more than was delivered")
		}
	}
}

// A position of the client's: decoded, encoded, kept, published.
func BenchmarkReceive(b *testing.B) {
	_, c := opened(b)
	text := []byte(`{"latitude":52.52001,"longitude":13.40495,"accuracy":8,"heading":271.5,"speed":1.4}`)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Receive(ctx, frame.Message{Data: text}); err != nil {
			b.Fatal(err)
		}
	}
}
