package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

func goneUsers(t *testing.T, db *postgres.DB) (gone []room.UserID) {
	t.Helper()
	if err := db.GoneUsers(t.Context(), func(id room.UserID) error { gone = append(gone, id); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(gone)
	return gone
}

func TestEraseGoneErasesWhatIsLeftOfDeletedUsers(t *testing.T) {
	t.Parallel()
	url, sql := databaseOfDjango(t)
	db := open(t, postgres.Options{URL: url})
	rooms := map[room.UserID]room.ID{}
	for _, r := range []room.Room{{Customer: 1, Therapist: 2}, {Customer: 3, Therapist: 2}, {Customer: 4, Therapist: 90}} {
		c, err := db.Conversation(t.Context(), r, 1)
		if err != nil {
			t.Fatal(err)
		}
		rooms[r.Customer] = c.ID
		send(t, db, c.ID, room.Draft{Sender: r.Customer, SenderRole: room.Customer, Text: fmt.Sprintf("text of %d", r.Customer), ClientMessageID: "id"})
		send(t, db, c.ID, room.Draft{Sender: r.Therapist, SenderRole: room.Therapist, Text: fmt.Sprintf("text of %d", r.Therapist)})
		send(t, db, c.ID, room.Draft{Sender: 5, SenderRole: room.Support, Text: "text of 5"})
		send(t, db, c.ID, room.Draft{SenderRole: room.Support, Text: "text of the system"})
	}
	if gone := goneUsers(t, db); !slices.Equal(gone, []room.UserID{90}) {
		t.Errorf("gone at first: %v", gone)
	}
	execute(t, sql, `DELETE FROM public."User_userprofile" WHERE id IN (1, 5)`)
	if gone := goneUsers(t, db); !slices.Equal(gone, []room.UserID{1, 5, 90}) {
		t.Errorf("gone: %v", gone)
	}
	total := int64(0)
	for _, id := range goneUsers(t, db) {
		n, err := db.EraseGone(t.Context(), id)
		if total += n; err != nil {
			t.Error(err)
		}
	}
	if gone := goneUsers(t, db); total != 5 || len(gone) != 0 {
		t.Errorf("%d messages erased, left: %v", total, gone)
	}
	if leak := everywhere(t, url, "text of 1", "text of 5", "text of 90"); leak != "" {
		t.Errorf("it is still there: %s", leak)
	}
	for _, text := range []string{"text of 2", "text of 3", "text of 4", "text of the system"} {
		if everywhere(t, url, text) == "" {
			t.Errorf("%s is erased too", text)
		}
	}
	// A socket may still be open.
	if _, _, err := db.Append(t.Context(), rooms[1], says("late", "")); !errors.Is(err, room.ErrErased) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestGoneUsersAreFoundInPages(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, sql := open(t, postgres.Options{URL: url}), direct(t, url)
	execute(t, sql, "INSERT INTO roomspa.conversations (customer_id, therapist_id) SELECT c, 10000 + t FROM generate_series(1, 2500) c, generate_series(1, 3) t")
	if err := db.GoneUsers(t.Context(), func(room.UserID) error { return nil }); !errors.Is(err, postgres.ErrNoUsers) {
		t.Errorf("where nobody exists: %v", err)
	}
	execute(t, sql, "INSERT INTO roomspa.users (id, role, password) SELECT c, 'customer', '-' FROM generate_series(1, 2400) c")
	if gone := goneUsers(t, db); len(gone) != 103 || gone[0] != 2401 || gone[102] != 10003 {
		t.Errorf("%d gone: %v", len(gone), gone)
	}
}
