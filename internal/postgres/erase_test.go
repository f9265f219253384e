package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

func TestEraseKeepsTheRowsAndNothingOfThePerson(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	users := []room.User{
		{ID: 1, Email: "Ann@example.com", Phone: "+43123", Role: room.Customer, Active: true},
		{ID: 2, Email: "ben@example.com", Phone: "+43124", Role: room.Therapist, Active: true},
		{ID: 4, Email: "eve@example.com", Role: room.Therapist, Active: true},
	}
	for _, u := range users {
		if _, err := db.CreateUser(t.Context(), u, "hash of "+u.Email); err != nil {
			t.Fatal(err)
		}
	}
	c := conversation(t, db, 1)
	other, err := db.Conversation(t.Context(), room.Room{Customer: 1, Therapist: 4}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		send(t, db, c, says(fmt.Sprint("secret ", i), fmt.Sprint("id-", i)))
		send(t, db, c, room.Draft{Sender: 2, SenderRole: room.Therapist, Text: "mine"})
	}
	send(t, db, other.ID, room.Draft{Sender: 1, SenderRole: room.Customer, Text: "secret too", Type: "secret-type", Metadata: `{"url":"secret"}`})

	erased, err := db.EraseUser(t.Context(), 1)
	if err != nil || erased != 11 {
		t.Fatalf("erased %d messages, %v", erased, err)
	}
	if again, err := db.EraseUser(t.Context(), 1); err != nil || again != 0 {
		t.Errorf("a second time: %d messages, %v", again, err)
	}
	msgs := all(t, db, c)
	if len(msgs) != 20 || msgs[19].Seq != 20 {
		t.Errorf("%d messages are left", len(msgs))
	}
	for _, m := range msgs {
		if (m.Text == "") != (m.Sender == 1) || m.ClientMessageID != "" {
			t.Errorf("%+v", m)
		}
	}
	u, err := db.FindUser(t.Context(), "1")
	if err != nil || u.Active || u.Phone != "" || strings.Contains(u.Email, "ann") || u.Role != room.Customer || u.TokensValidAfter.IsZero() {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := db.FindUser(t.Context(), "ann@example.com"); !errors.Is(err, room.ErrNotFound) {
		t.Error(err)
	}
	if v, err := db.FindUser(t.Context(), "+43124"); err != nil || cmp.Diff(users[1], v) != "" {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := db.EraseUser(t.Context(), 99); !errors.Is(err, room.ErrNotFound) {
		t.Error(err)
	}
	if leak := everywhere(t, url, "secret", "ann@", "Ann@", "+43123", "id-"); leak != "" {
		t.Errorf("it is still there: %s", leak)
	}
	send(t, db, c, room.Draft{Sender: 2, SenderRole: room.Therapist, Text: "goes on"})
}

// everywhere looks for words in all rows of all tables of ours.
func everywhere(t *testing.T, url string, words ...string) string {
	t.Helper()
	conn := direct(t, url)
	rows, _ := conn.Query(t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = 'roomspa'`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		rows, _ := conn.Query(t.Context(), `SELECT t::text FROM roomspa.`+table+` t`)
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			for _, word := range words {
				if strings.Contains(text, word) {
					return table + ": " + text
				}
			}
		}
	}
	return ""
}

// customer creates user 1, and returns the conversation of its room.
func customer(t *testing.T, db *postgres.DB) room.ID {
	t.Helper()
	if _, err := db.CreateUser(t.Context(), room.User{ID: 1, Email: "ann@example.com", Role: room.Customer, Active: true}, "-"); err != nil {
		t.Fatal(err)
	}
	return conversation(t, db, 1)
}

// An insert that began before the erasure may be committed after it, and need not hold a lock of
// the conversation yet.
func TestEraseWaitsForWritesUnderWay(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, other, sql := open(t, postgres.Options{URL: url}), direct(t, url), direct(t, url)
	c := customer(t, db)
	execute(t, other, "BEGIN")
	execute(t, other, `INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at)
		VALUES ($1, 1, gen_random_uuid(), 1, 'customer', 'secret', now())`, c)
	erased := make(chan error, 1)
	go func() {
		n, err := db.EraseUser(t.Context(), 1)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d messages were erased", n)
		}
		erased <- err
	}()
	waitForMark(t, sql)
	select {
	case err := <-erased:
		t.Fatalf("the erasure did not wait: %v", err)
	default:
	}
	execute(t, other, "COMMIT")
	if err := <-erased; err != nil {
		t.Error(err)
	}
	if leak := everywhere(t, url, "secret"); leak != "" {
		t.Errorf("it is still there: %s", leak)
	}
}

// waitForMark returns when an erasure has begun.
func waitForMark(t *testing.T, sql *pgx.Conn) {
	t.Helper()
	eventually(t, "the erasure has begun", func() error {
		var marked bool
		err := sql.QueryRow(t.Context(), "SELECT count(*) > 0 FROM roomspa.erasures").Scan(&marked)
		if err == nil && !marked {
			err = errors.New("there is no mark")
		}
		return err
	})
}

func TestNothingOfAnErasedUserIsStored(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	c := customer(t, db)
	var writers sync.WaitGroup
	var stored atomic.Int64
	for range 8 { // more than are inserted one by one
		writers.Go(func() {
			for {
				_, _, err := db.Append(t.Context(), c, says("secret", ""))
				if err != nil {
					if !errors.Is(err, room.ErrErased) {
						t.Error(err)
					}
					return
				}
				stored.Add(1)
			}
		})
	}
	eventually(t, "messages are stored", func() error {
		if stored.Load() < 100 {
			return fmt.Errorf("%d messages", stored.Load())
		}
		return nil
	})
	if _, err := db.EraseUser(t.Context(), 1); err != nil {
		t.Error(err)
	}
	leak := everywhere(t, url, "secret")
	writers.Wait()
	for range 8 { // those from before may have stopped already
		writers.Go(func() {
			if _, _, err := db.Append(t.Context(), c, says("secret", "")); !errors.Is(err, room.ErrErased) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	writers.Wait()
	if leak += everywhere(t, url, "secret"); leak != "" {
		t.Errorf("it is still there: %s", leak)
	}
	if _, _, err := db.Append(t.Context(), c, says("secret", "one alone")); !errors.Is(err, room.ErrErased) {
		t.Errorf("one alone: %v", err)
	}
	send(t, db, c, room.Draft{Sender: 2, SenderRole: room.Therapist, Text: "goes on"})
}

func TestListUsers(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: database(t)})
	for i := range 6 {
		u := room.User{ID: room.UserID(i + 1), Email: fmt.Sprintf("u%d@example.com", i+1), Role: room.Customer, Active: i != 3}
		if i%3 == 2 {
			u.Role = room.Therapist
		}
		if _, err := db.CreateUser(t.Context(), u, "-"); err != nil {
			t.Fatal(err)
		}
	}
	no := false
	for _, tt := range []struct {
		behind room.UserID
		role   room.Role
		active *bool
		limit  int
		want   string
	}{
		{0, "", nil, 10, "[1 2 3 4 5 6]"}, {2, "", nil, 3, "[3 4 5]"}, {0, room.Therapist, nil, 10, "[3 6]"}, {0, "", &no, 10, "[4]"},
	} {
		users, err := db.ListUsers(t.Context(), tt.behind, tt.role, tt.active, tt.limit)
		ids := []room.UserID{}
		for _, u := range users {
			ids = append(ids, u.ID)
		}
		if err != nil || fmt.Sprint(ids) != tt.want {
			t.Errorf("%+v: %v, %v", tt, ids, err)
		}
	}
}

// Support writes in rooms of others, also while it is erased.
func TestEraseFindsWhatSupportWrote(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, other, sql := open(t, postgres.Options{URL: url}), direct(t, url), direct(t, url)
	c := customer(t, db)
	if _, err := db.CreateUser(t.Context(), room.User{ID: 6, Email: "eve@example.com", Role: room.Support, Active: true}, "-"); err != nil {
		t.Fatal(err)
	}
	send(t, db, c, room.Draft{Sender: 6, SenderRole: room.Support, Text: "secret"})
	send(t, db, c, says("mine", ""))
	late := conversation(t, db, 7)
	execute(t, other, "BEGIN")
	execute(t, other, `INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at)
		VALUES ($1, 1, gen_random_uuid(), 6, 'support', 'secret', now())`, late)
	erased := make(chan error, 1)
	go func() {
		n, err := db.EraseUser(t.Context(), 6)
		if err == nil && n != 2 {
			err = fmt.Errorf("%d messages were erased", n)
		}
		erased <- err
	}()
	waitForMark(t, sql)
	execute(t, other, "COMMIT")
	if err := <-erased; err != nil {
		t.Error(err)
	}
	if leak := everywhere(t, url, "secret"); leak != "" {
		t.Errorf("it is still there: %s", leak)
	}
}
