package inbox_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

const path = "/ws/inbox/"

// open opens an inbox with one conversation, of the customer and the therapist.
func open(t *testing.T, r *world.Replica, user room.UserID, query url.Values) (s *world.Socket, conversation string) {
	t.Helper()
	s = r.ConnectAs(t, user, path, query)
	s.Expect(t, "connected")
	conversation = s.Expect(t, "conversation").ConversationID
	s.Expect(t, "inbox_complete")
	return s, conversation
}

func wantState(t *testing.T, f world.Frame, last int64, unread int, text string) {
	t.Helper()
	if f.LastSeq == nil || *f.LastSeq != last || f.Unread == nil || *f.Unread != unread || f.Message != text {
		t.Errorf("got %s, want last_seq %d, %d unread, message %q", f.Raw, last, unread, text)
	}
}

func TestAnInboxFollowsItsConversationsOnEveryReplica(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	customer, therapist := a.Chat(t, world.Customer), a.Chat(t, world.Therapist)
	inbox, id := open(t, b, world.Therapist, nil)
	texts, _ := open(t, a, world.Customer, url.Values{"text": {"1"}})

	customer.Deliver(t, "hello", "m-1")
	wantState(t, inbox.Next(t), 1, 1, "")
	wantState(t, texts.Next(t), 1, 0, "hello")
	therapist.Expect(t, "chat_message")
	therapist.Mark(t, "read", 1)
	if f := inbox.Next(t); f.Type != "read" || f.Seq != 1 || f.UserID != int64(world.Therapist) || f.ConversationID != id {
		t.Errorf("read elsewhere: %s", f.Raw)
	}
	wantState(t, inbox.Next(t), 1, 0, "")

	customer.Deliver(t, "again", "m-2")
	wantState(t, inbox.Next(t), 2, 1, "")
	inbox.Send(t, `{"type":"read","conversation_id":"`+id+`","seq":2}`)
	customer.WaitReceipt(t, "read", world.Therapist, 2)
	for _, bad := range []string{`{"type":"read","conversation_id":"` + id + `","seq":3}`, `{"type":"read","seq":1}`, `{"type":"read","conversation_id":"x","seq":1}`} {
		inbox.Send(t, bad)
		if f := inbox.Find(t, "error"); f.Code != "out_of_range" {
			t.Errorf("%s: %s", bad, f.Raw)
		}
	}
	inbox.Send(t, `{"message":"hi"}`)
	if f := inbox.Find(t, "error"); f.Code != "unknown_type" {
		t.Errorf("a message: %s", f.Raw)
	}
}

func TestAnInboxTellsWhoIsOnline(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	a.Chat(t, world.Customer)
	inbox := b.Connect(t, world.Handshake{Path: path, Query: url.Values{"token": {w.Token(t, world.Therapist)}}, Presence: true})
	id := inbox.Find(t, "conversation").ConversationID
	if f := inbox.Find(t, "presence"); f.ConversationID != id || f.UserID != int64(world.Customer) || !strings.Contains(f.Raw, `"online":true`) {
		t.Errorf("%s", f.Raw)
	}
}

func TestAnInboxTellsWhoIsOnlineInANewConversation(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	inbox := b.Connect(t, world.Handshake{Path: path, Query: url.Values{"token": {w.Token(t, world.Therapist)}}, Presence: true})
	inbox.Find(t, "inbox_complete")
	a.Chat(t, world.Customer).Deliver(t, "hello", "m-1")
	id := inbox.Find(t, "conversation").ConversationID
	if f := inbox.Find(t, "presence"); f.ConversationID != id || f.UserID != int64(world.Customer) || !strings.Contains(f.Raw, `"online":true`) {
		t.Errorf("%s", f.Raw)
	}
}

func TestAnInboxFindsWhatRedisLost(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	far := w.BehindProxies(t)
	r := far.Ready(t, "a")
	r.Chat(t, world.Customer)
	inbox, id := open(t, r, world.Therapist, nil)
	far.ToRedis.Cut()
	w.Exec(t, `INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at)
		SELECT $1::uuid, 1, (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '70008000000000000001')::uuid, $2, 'customer', 'lost', now()`,
		id, int64(world.Customer))
	far.ToRedis.Heal()
	wantState(t, inbox.Next(t), 1, 1, "")
}

// TestRetentionClearsBadges deletes messages that the user has not read.
func TestRetentionClearsBadges(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	customer := r.Chat(t, world.Customer)
	inbox, id := open(t, r, world.Therapist, nil)
	customer.Deliver(t, "old", "m-1")
	customer.Deliver(t, "young", "m-2")
	world.Eventually(t, "both are unread", func() (bool, any) { f := inbox.Next(t); return f.Unread != nil && *f.Unread == 2, f })
	w.Exec(t, `UPDATE roomspa.messages SET created_at = now() - interval '31 days' WHERE conversation_id = $1 AND seq = 1`, id)
	if done, err := w.OpenPostgres(t).DeleteMessages(t.Context(), 30*24*time.Hour, nil); err != nil || done.Deleted != 1 {
		t.Fatal(done, err)
	}
	world.Eventually(t, "one is unread", func() (bool, any) { f := inbox.Next(t); return f.Unread != nil && *f.Unread == 1, f })
}

func TestSupportHasNoInbox(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	r.ConnectAs(t, world.Support, path, nil).ExpectRefusal(t, 4003, "wrong_role")
}
