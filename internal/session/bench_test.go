package session_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/session"
)

// A fountain is a handler that has so many frames to say.
type fountain struct {
	text []byte
	left atomic.Int64
	got  chan struct{} // one for each message that was received
}

func (f *fountain) Receive(context.Context, frame.Message) error {
	f.got <- struct{}{}
	return nil
}

func (f *fountain) Next(context.Context, bool) (frame.Message, error) {
	if f.left.Add(-1) < 0 {
		f.left.Add(1)
		return frame.Message{}, nil
	}
	return frame.Message{Data: f.text}, nil
}

func (f *fountain) Closed() {}

// flowing opens a socket over TCP to a session with a fountain.
func flowing(b *testing.B) (*session.Session, *fountain, net.Conn) {
	b.Helper()
	o := limits()
	o.MessageRate = 0
	registry := session.NewRegistry(b.Context(), o, prometheus.NewRegistry())
	f := &fountain{text: make([]byte, 300), got: make(chan struct{}, 1)}
	for i := range f.text {
		f.text[i] = 'x'
	}
	started := make(chan *session.Session, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log := logging.Conn{Log: slog.New(slog.DiscardHandler), Ref: ref, Remote: "bench"}
		slot, _ := registry.Reserve(session.Kind{Endpoint: "chat", Component: "ChatConsumer"})
		s, err := slot.Upgrade(w, r, log, http.Header{})
		if err != nil {
			b.Error(err)
			return
		}
		s.Start(f)
		started <- s
	}))
	b.Cleanup(server.Close)
	conn, _, err := websocket.DefaultDialer.Dial("ws"+server.URL[len("http"):], nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return <-started, f, conn.NetConn()
}

// The way of frames from a handler to the client's end of a TCP connection: one at
// a time, which is a writer and a system call each, and many that wait together.
func BenchmarkWrite(b *testing.B) {
	for _, batch := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("%dframes", batch), func(b *testing.B) {
			s, f, conn := flowing(b)
			wire := make([]byte, batch*(len(f.text)+4))
			b.SetBytes(int64(len(f.text)))
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += batch {
				f.left.Add(int64(batch))
				s.Wake()
				if _, err := io.ReadFull(conn, wire); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// The way of a message from the client's end of a TCP connection to the handler.
func BenchmarkRead(b *testing.B) {
	_, f, conn := flowing(b)
	payload := []byte(`{"type":"chat_message","message":"Good morning, I am on my way.","client_message_id":"01hzx3v7r2m5k8q9w4t6y0"}`)
	wire := append([]byte{0x81, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...) // masked with nothing
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(wire); err != nil {
			b.Fatal(err)
		}
		<-f.got
	}
}
