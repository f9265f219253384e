package chat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// storeLong stores n messages with a text in the room 1/2.
func storeLong(t *testing.T, w *world.World, n int, text string) {
	t.Helper()
	_, err := w.SQL(t).Exec(t.Context(), `
WITH c AS (INSERT INTO roomspa.conversations (customer_id, therapist_id) VALUES (1, 2) RETURNING id)
INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at)
SELECT c.id, i, gen_random_uuid(), 1, 'customer', $2, now() FROM c, generate_series(1, $1::int) i`, n, text)
	if err != nil {
		t.Fatal(err)
	}
}

// checkSize checks that a client with a small limit takes the frame.
func checkSize(t *testing.T, f world.Frame) {
	t.Helper()
	if len(f.Raw) > frame.MaxPage {
		t.Fatalf("a frame of %d bytes", len(f.Raw))
	}
}

func TestPagesOfLongMessagesCoverTheConversationInSmallFrames(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"CJK": strings.Repeat("予約", 2000), "emoji": strings.Repeat("😀", 4000), "escapes": strings.Repeat("\x01", 4000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 200
			w := world.New(t)
			storeLong(t, w, n, text)
			s := w.Ready(t, "a").Chat(t, world.Customer)
			for before := int64(n + 1); before > 1; {
				s.Send(t, fmt.Sprintf(`{"type":"history","before_seq":%d,"limit":200}`, before))
				f := s.Find(t, "history")
				checkSize(t, f)
				if len(f.Messages) == 0 || f.HasMore != (f.Messages[0].Seq > 1) {
					t.Fatalf("before %d: %d messages, has_more %v", before, len(f.Messages), f.HasMore)
				}
				for i, m := range f.Messages {
					if m.Seq != before-int64(len(f.Messages)-i) || m.Message != text {
						t.Fatalf("before %d: message %d at %d", before, m.Seq, i)
					}
				}
				before = f.Messages[0].Seq
			}
		})
	}
}

// TestManyUnreadPagesAndReplaysBesideAChat lets stalled clients ask for many pages. The pair
// loses nothing, and those clients get all pages when they read.
func TestManyUnreadPagesAndReplaysBesideAChat(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	storeLong(t, w, 200, strings.Repeat("予約", 2000))
	r := w.Ready(t, "a", world.NoRateLimit, func(o *app.Options) { o.WriteTimeout = world.Limit })
	from, to := r.ConnectAs(t, world.OtherCustomer, "/ws/chat/3/4/", nil), r.ConnectAs(t, world.OtherTherapist, "/ws/chat/3/4/", nil)
	to.Expect(t, "connected")
	var stalled []*world.Stalled
	for range 10 {
		s := r.StallAs(t, world.Customer, "/ws/chat/1/2/?since=0")
		s.Conn.SetReadLimit(frame.MaxPage)
		for range 30 {
			if err := s.Conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"history","limit":200}`)); err != nil {
				t.Fatal(err)
			}
		}
		stalled = append(stalled, s)
	}
	for i := range 50 {
		from.Say(t, "hello", fmt.Sprint(i))
	}
	to.ExpectMessages(t, 0, 50)
	for _, s := range stalled {
		pages, seq := 0, int64(0)
		for pages < 30 || seq < 200 {
			f, err := s.Read(t)
			if err != nil {
				t.Fatalf("after %d pages and message %d: %v", pages, seq, err)
			}
			checkSize(t, f)
			switch f.Type {
			case "history":
				pages++
			case "chat_message":
				if seq++; f.Seq != seq {
					t.Fatalf("got message %d, want %d", f.Seq, seq)
				}
			}
		}
	}
}
