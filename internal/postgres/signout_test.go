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
	db := open(t, postgres.Options{URL: database(t)})
	u, err := db.CreateUser(t.Context(), room.User{Email: "a@example.com", Role: room.Customer, Active: true}, "-")
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	after, err := db.SignOut(t.Context(), u.ID, before)
	if err != nil || !after.After(before) || after.Sub(before) > world.Limit || !after.Equal(after.Truncate(time.Second)) {
		t.Fatalf("signed out at %v until %v, %v", before, after, err)
	}
	ahead := after.Add(time.Hour) // a token that another clock has issued
	if again, err := db.SignOut(t.Context(), u.ID, ahead); err != nil || !again.Equal(ahead.Add(time.Second)) {
		t.Errorf("until %v, %v; want a second after %v", again, err, ahead)
	}
	if again, err := db.SignOut(t.Context(), u.ID, before); err != nil || !again.Equal(ahead.Add(time.Second)) {
		t.Errorf("a sign-out took another one back: %v, %v", again, err)
	}
	if _, err := db.SignOut(t.Context(), 999, before); !errors.Is(err, room.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
}
