package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestASystemMessageReachesOpenSockets sends one that the replicas hear of and, before it, one that
// they have to find. The second one would also make them look, so it waits for the first.
func TestASystemMessageReachesOpenSockets(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Ready(t, "a"), w.Ready(t, "b")
	sockets := []*world.Socket{a.Chat(t, world.Customer), b.Chat(t, world.Therapist), b.Chat(t, world.Support)}
	send := func(args ...string) {
		var out, errs bytes.Buffer
		args = append([]string{"message", "send", "--system", "--database-url", w.DatabaseURL}, args...)
		if code := run(args, streams{Out: &out, Err: &errs}); code != 0 || !strings.HasPrefix(out.String(), "sent: message ") {
			t.Fatalf("exit code %d: %s%s", code, out.String(), errs.String())
		}
	}
	arrives := func(text, sender string) {
		for _, s := range sockets {
			m := s.Expect(t, "chat_message")
			if !strings.Contains(m.Raw, sender+`,"sender_role":"support","message":"`+text+`","message_type":"system"`) {
				t.Errorf("got %s", m.Raw)
			}
		}
	}
	send("1", "2", "found")
	arrives("found", `"sender_id":0`)
	send("--redis-url", w.RedisURL, "--redis-prefix", w.RedisPrefix, "--as", "6", "1", "2", "announced")
	arrives("announced", `"sender_id":6`)
}
