package session_test

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/budget"
)

// FuzzFrames sends arbitrary bytes after a good handshake. The session must end, release what
// it has taken from the budget, and pass on no more bytes than it has received.
func FuzzFrames(f *testing.F) {
	text, closing := wire(0x81, []byte("hello")), wire(0x88, []byte{3, 232})
	for _, seed := range [][]byte{
		nil, text, closing, append(text, closing...), wire(0x89, []byte("ping")), wire(0x01, []byte("half")),
		append(wire(0x01, []byte("a")), wire(0x80, []byte("b"))...), append(wire(0x01, []byte("a")), text...),
		wire(0x82, make([]byte, 5000)),
		{0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0},
		{0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{0xf1, 0x80},
		{0x81, 0x05, 'h'},
		wire(0x88, []byte{3}), wire(0x88, []byte{0, 1}), wire(0x83, nil),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		o := limits()
		o.Budget = budget.New(1 << 20)
		bubble(t, o, func(w *world) {
			c, h := w.dial()
			done := make(chan struct{})
			go func() { defer close(done); _, _ = readAll(c) }()
			_, _ = c.NetConn().Write(sent)
			time.Sleep(time.Second) // of the bubble's clock
			_ = c.Close()
			select {
			case <-h.closed:
			case <-time.After(time.Minute):
				t.Fatal("the session does not end")
			}
			<-done
			total := 0
			for _, m := range h.received() {
				total += len(m.Data)
			}
			if total > len(sent) {
				t.Errorf("%d bytes were handled of %d that were sent", total, len(sent))
			}
			if held := o.Budget.Held(); held != 0 {
				t.Errorf("%d bytes were not given back", held)
			}
		})
	})
}
