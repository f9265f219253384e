package chat_test

import (
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// The socket of an erased user may be open for a moment.
func TestAnErasedUserCannotSend(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	for _, table := range []string{"users", "user_facts"} { // so that nothing else closes the socket
		w.Exec(t, "ALTER TABLE roomspa."+table+" DISABLE TRIGGER USER")
	}
	r := w.Ready(t, "a")
	customer, therapist := r.Chat(t, world.Customer), r.Chat(t, world.Therapist)
	customer.Deliver(t, "my diagnosis", "1")
	therapist.ExpectMessages(t, 0, 1)
	if n, err := w.OpenPostgres(t).EraseUser(t.Context(), world.Customer); err != nil || n != 1 {
		t.Fatalf("erased %d messages, %v", n, err)
	}
	customer.Say(t, "once more", "2")
	if c, frames := customer.WaitClose(t); c.Code != 4001 || !strings.HasPrefix(c.Reason, "user_inactive ") {
		t.Errorf("closed with %d %q after %v", c.Code, c.Reason, frames)
	}
	therapist.Deliver(t, "goes on", "1")
	if n := world.Query[int](t, w, "SELECT count(*) FROM roomspa.messages WHERE sender_id = $1 AND body <> ''", world.Customer); n != 0 {
		t.Errorf("the text of %d messages is stored", n)
	}
}
