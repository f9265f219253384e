package chat_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// An own state is how far a user is, by the connected frame or the API.
type own struct {
	Delivered int64 `json:"delivered_seq"`
	Read      int64 `json:"read_seq"`
	Unread    int   `json:"unread"`
}

// request calls the API and returns the status and the answer.
func request(t *testing.T, r *world.Replica, user room.UserID, method, path, body string) (int, own) {
	t.Helper()
	res, text := r.Request(t, method, path, r.World.Token(t, user), body, "Content-Type", "application/json")
	var got own
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%s %s: %s", method, path, text)
	}
	return res.StatusCode, got
}

func TestReceiptsReachBothSidesOnEveryReplica(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Ready(t, "a"), w.Ready(t, "b")
	phone, tablet, support := a.Chat(t, world.Customer), b.Chat(t, world.Customer), a.Chat(t, world.Support)
	therapist := b.ConnectAs(t, world.Therapist, "/ws/chat/1/2/", nil)
	id := therapist.Expect(t, "connected").ConversationID
	for i := range 3 {
		therapist.Say(t, "hello", fmt.Sprint("m-", i))
	}
	phone.ExpectMessages(t, 0, 3)

	phone.Mark(t, "delivered", 3)
	phone.Mark(t, "read", 2)
	for _, s := range []*world.Socket{phone, tablet, support, therapist} {
		s.WaitReceipt(t, "read", world.Customer, 2)
	}
	c := a.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).Expect(t, "connected")
	if got := (own{*c.DeliveredSeq, *c.ReadSeq, *c.Unread}); got != (own{3, 2, 1}) || c.Peer.ID != int64(world.Therapist) {
		t.Errorf("connected: %s", c.Raw)
	}
	path := "/api/conversations/" + id + "/receipts/"
	if status, got := request(t, b, world.Customer, http.MethodPost, path, `{"read_seq":3}`); status != http.StatusOK || got != (own{3, 3, 0}) {
		t.Errorf("marked by HTTP: %d, %+v", status, got)
	}
	therapist.WaitReceipt(t, "read", world.Customer, 3)
	if _, got := request(t, a, world.Customer, http.MethodGet, "/api/unread/", ""); got.Unread != 0 {
		t.Errorf("%d unread", got.Unread)
	}
	phone.Say(t, "hello yourself", "m-9")
	if _, got := request(t, a, world.Therapist, http.MethodGet, "/api/unread/", ""); got.Unread > 1 {
		t.Errorf("%d unread", got.Unread)
	}
	therapist.Find(t, "chat_message")
	therapist.Say(t, "bye", "m-10") // answering is reading
	phone.WaitReceipt(t, "read", world.Therapist, 4)
	peer := therapistView(t, a)
	if *peer.ReadSeq != 4 || peer.Peer.ReadSeq != 3 || *peer.Unread != 0 {
		t.Errorf("connected: %s", peer.Raw)
	}
	if f := a.ConnectAs(t, world.Support, "/ws/chat/1/2/", nil).Expect(t, "connected"); f.ReadSeq != nil || f.Unread != nil || f.Peer != nil {
		t.Errorf("support: %s", f.Raw)
	}
}

func therapistView(t *testing.T, r *world.Replica) world.Frame {
	t.Helper()
	return r.ConnectAs(t, world.Therapist, "/ws/chat/1/2/", nil).Expect(t, "connected")
}

func TestReceiptsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	s := r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil)
	id := s.Expect(t, "connected").ConversationID
	s.Mark(t, "read", 1)
	if f := s.Expect(t, "error"); f.Code != "out_of_range" || f.Field != "seq" {
		t.Errorf("beyond the last message: %s", f.Raw)
	}
	path := "/api/conversations/" + id + "/receipts/"
	for _, c := range []struct {
		user   room.UserID
		body   string
		status int
		code   string
	}{
		{world.Customer, `{"delivered_seq":1}`, 400, "out_of_range"},
		{world.Customer, `{"read_seq":0}`, 400, "bad_field"},
		{world.Customer, `{"read_seq":"1"}`, 400, "bad_field"},
		{world.Customer, `{}`, 400, "bad_field"},
		{world.OtherCustomer, `{"read_seq":1}`, 404, "no_such_conversation"},
		{world.Support, `{"read_seq":1}`, 403, "wrong_role"},
	} {
		res, body := r.Request(t, http.MethodPost, path, w.Token(t, c.user), c.body, "Content-Type", "application/json")
		if p := world.ExpectProblem(t, res, body, c.status); p.Code != c.code {
			t.Errorf("user %d, %s: %s", c.user, c.body, body)
		}
	}
}

// A receipt that is published while Redis loses it is found by the sweep.
func TestAReceiptThatWasNotPublishedArrives(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	phone, therapist := r.Chat(t, world.Customer), r.ConnectAs(t, world.Therapist, "/ws/chat/1/2/", nil)
	id, err := room.ParseID(therapist.Expect(t, "connected").ConversationID)
	if err != nil {
		t.Fatal(err)
	}
	therapist.Say(t, "hello", "m")
	phone.Find(t, "chat_message")
	marks := []room.Receipt{{Conversation: id, User: world.Customer, Cursor: room.Cursor{Delivered: 1, Read: 1}}}
	if _, err := w.OpenPostgres(t).AdvanceCursors(t.Context(), marks); err != nil {
		t.Fatal(err)
	}
	therapist.WaitReceipt(t, "read", world.Customer, 1)
	phone.WaitReceipt(t, "read", world.Customer, 1)
}
