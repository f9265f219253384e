package session_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
)

// A deep handler needs a large stack for each message.
type deep struct{ handled, closed chan struct{} }

func (d *deep) Receive(context.Context, frame.Message) error {
	useStack(1)
	d.handled <- struct{}{}
	return nil
}

//go:noinline
func useStack(i int) byte {
	var unused [6 << 10]byte
	return unused[i]
}

func (d *deep) Next(context.Context, bool) (frame.Message, error) { return frame.Message{}, nil }

func (d *deep) Closed() { d.closed <- struct{}{} }

// TestASessionThatIsNotBusyKeepsASmallStack sends two messages at once on each of many sockets, as
// a client does that sends a message and a receipt.
func TestASessionThatIsNotBusyKeepsASmallStack(t *testing.T) {
	const sockets = 400
	w, h := overTCP(t), &deep{make(chan struct{}), make(chan struct{}, sockets)}
	var clients []*websocket.Conn
	for range sockets {
		w.handlers <- h
		c, _, err := websocket.DefaultDialer.Dial("ws"+w.server.URL[len("http"):], nil)
		if err != nil {
			t.Fatal(err)
		}
		<-w.started
		clients = append(clients, c)
	}
	before := stacks()
	for _, c := range clients {
		for range 2 {
			if err := c.WriteMessage(websocket.TextMessage, []byte("x")); err != nil {
				t.Fatal(err)
			}
			<-h.handled
		}
	}
	if grown := (stacks() - before) / sockets; grown > 1024 {
		t.Errorf("the stack of an idle session grew by %d bytes", grown)
	}
	for _, c := range clients {
		_ = c.Close()
		<-h.closed
	}
}

// stacks returns the bytes of all stacks, after a collection, which frees those of ended goroutines.
func stacks() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.StackInuse) //nolint:gosec // small
}
