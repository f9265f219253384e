package handshake_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestAFrameBeforeThe101IsRead sends the handshake and a message in one segment.
func TestAFrameBeforeThe101IsRead(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	therapist := r.Chat(t, world.Therapist)
	conn, err := net.Dial("tcp", r.Addr()) //nolint:noctx // to this machine
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(world.Limit))
	text := `{"message":"early"}`
	head := strings.Join(world.Upgrade("/ws/chat/1/2/", "Authorization: Bearer "+w.Token(t, world.Customer)), "\r\n") + "\r\n\r\n"
	frame := string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) + text // RFC 6455 §5.2, masked with zeros
	if _, err := conn.Write([]byte(head + frame)); err != nil {
		t.Fatal(err)
	}
	if f := therapist.Find(t, "chat_message"); f.Message != "early" {
		t.Errorf("got %s", f.Raw)
	}
}
