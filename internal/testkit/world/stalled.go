package world

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/room"
)

// SmallBuffer is an HTTP client whose connections have a small receive buffer in the kernel, so that a client that does
// not read stalls the server soon.
var SmallBuffer = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true,
	DialContext: (&net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}).DialContext,
}}

// Stalled is a client that reads only when Read is called.
type Stalled struct {
	Conn *websocket.Conn
	Ref  string
}

// Stall connects a client that reads nothing by itself.
func (r *Replica) Stall(t testing.TB, h Handshake) *Stalled {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, "ws://"+r.addr+h.Path, &websocket.DialOptions{
		HTTPClient: SmallBuffer, HTTPHeader: h.Header, Subprotocols: h.Subprotocols,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &Stalled{conn, res.Header.Get("Roomspa-Ref")}
}

// Read reads one frame.
func (s *Stalled) Read(t testing.TB) (f Frame, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	_, data, err := s.Conn.Read(ctx)
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	f.Raw = string(data)
	return f, err
}

// StallAs connects a user with a good token, takes the connected frame, and reads nothing from then on.
func (r *Replica) StallAs(t testing.TB, user room.UserID, path string) *Stalled {
	t.Helper()
	s := r.Stall(t, Handshake{Path: path, Subprotocols: []string{"bearer", r.World.Token(t, user)}})
	if f, err := s.Read(t); err != nil || f.Type != "connected" {
		t.Fatalf("first came %s: %v", f.Raw, err)
	}
	return s
}
