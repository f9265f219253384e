package adopt_test

import (
	"fmt"
	"testing"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// roomspa returns the database as a replica uses it.
func (d *database) roomspa(t testing.TB) *postgres.DB {
	t.Helper()
	return (&world.World{DatabaseURL: d.url}).OpenPostgres(t)
}

// send stores a message as a replica does, and returns it.
func (d *database) send(t testing.TB, db *postgres.DB, r room.Room, draft room.Draft) room.Message {
	t.Helper()
	c, err := db.Conversation(t.Context(), r, draft.Sender)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := db.Append(t.Context(), c.ID, draft)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// read moves the cursor of a user, as a replica does.
func (d *database) read(t testing.TB, db *postgres.DB, r room.Room, user room.UserID, seq int64) {
	t.Helper()
	c, err := db.Conversation(t.Context(), r, user)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.AdvanceCursors(t.Context(), []room.Receipt{{Conversation: c.ID, User: user, Cursor: room.Cursor{Delivered: seq, Read: seq}}}); err != nil {
		t.Fatal(err)
	}
}

// own stores two messages in the room 1/2: by the customer, and by support
// under the number last.
func (d *database) own(t testing.TB, last int64) {
	t.Helper()
	db, r := d.roomspa(t), room.Room{Customer: 1, Therapist: 2}
	d.send(t, db, r, room.Draft{Sender: 1, SenderRole: room.Customer, Text: "of roomspa", ClientMessageID: "1"})
	m := d.send(t, db, r, room.Draft{Sender: 13, SenderRole: room.Support, Text: "of support", Type: "image", Metadata: `{"a": "\u0000"}`})
	if m.Number != last {
		t.Errorf("the number is %d: %s", m.Number, fmt.Sprint(m))
	}
}
