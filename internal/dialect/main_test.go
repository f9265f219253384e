package dialect_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestMain(m *testing.M) { world.Main(m) }

// classic lets a replica serve apps of the predecessor.
func classic(o *app.Options) { o.ClassicClients = true }

// open opens a socket as an app of the predecessor does, and waits until it is joined: no frame
// says so.
func open(t testing.TB, r *world.Replica, user room.UserID, path string) *world.Socket {
	t.Helper()
	s := r.Connect(t, world.Handshake{Path: path, Query: url.Values{"token": {r.World.Token(t, user)}}})
	last := "Connection accepted"
	if strings.HasPrefix(path, "/ws/chat/") {
		last = "Conversation loaded/created"
	}
	world.Eventually(t, "the socket is joined", func() (bool, any) {
		lines := r.Log.About(s.Ref())
		return strings.Contains(lines, last), lines
	})
	return s
}
