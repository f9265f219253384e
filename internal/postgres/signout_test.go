package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestSignOutRefusesWhatWasIssuedUpToNow(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	u, err := db.CreateUser(t.Context(), room.User{Email: "a@example.com", Role: room.Customer, Active: true}, "-")
	if err != nil {
		t.Fatal(err)
	}
	signOut := func(latest time.Time) (validAfter time.Time) {
		t.Helper()
		if err := db.SignOut(t.Context(), u.ID, latest); err != nil {
			t.Fatal(err)
		}
		users, err := db.Users(t.Context(), []room.UserID{u.ID})
		if err != nil {
			t.Fatal(err)
		}
		return users[u.ID].TokensValidAfter
	}
	before := time.Now()
	after := signOut(before)
	if !after.After(before) || after.Sub(before) > world.Limit || !after.Equal(after.Truncate(time.Second)) {
		t.Fatalf("signed out at %v until %v", before, after)
	}
	ahead := after.Add(time.Hour) // a token that another clock has issued
	if again := signOut(ahead); !again.Equal(ahead.Add(time.Second)) {
		t.Errorf("until %v; want a second after %v", again, ahead)
	}
	if again := signOut(before); !again.Equal(ahead.Add(time.Second)) {
		t.Errorf("a sign-out took another one back: %v", again)
	}
	if err := db.SignOut(t.Context(), 999, before); !errors.Is(err, room.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	sql := direct(t, url) // as a binary of schema 10, which reads and writes the table only
	var old time.Time
	if err := sql.QueryRow(t.Context(), "SELECT tokens_valid_after FROM roomspa.users WHERE id = $1", u.ID).Scan(&old); err != nil || !old.Equal(ahead.Add(time.Second)) {
		t.Errorf("in the table: %v, %v", old, err)
	}
	execute(t, sql, "UPDATE roomspa.users SET tokens_valid_after = tokens_valid_after + interval '1 hour'")
	if again := signOut(before); !again.Equal(ahead.Add(time.Hour + time.Second)) {
		t.Errorf("after a sign-out by an older binary: %v", again)
	}
}
