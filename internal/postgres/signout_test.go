package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func TestRefusedTokens(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	out := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for id, email := range map[room.UserID]string{1: "fine@x.y", 2: "old@x.y", 3: "new@x.y", 4: "off@x.y", 5: "silent@x.y"} {
		if _, err := db.CreateUser(t.Context(), room.User{ID: id, Email: email, Role: room.Customer, Active: true}, "-"); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, direct(t, url), "UPDATE roomspa.users SET tokens_valid_after = $1 WHERE id IN (2, 3, 5)", out)
	if err := db.SetActive(t.Context(), 4, false); err != nil {
		t.Fatal(err)
	}
	if err := db.SetActive(t.Context(), 999, false); !errors.Is(err, room.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	got, err := db.RefusedTokens(t.Context(), map[room.UserID]time.Time{
		1: out.Add(-time.Hour), 2: out.Add(-time.Second), 3: out, 4: time.Now(), 5: {}, 6: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[room.UserID]*room.User{
		2: {ID: 2, Active: true, TokensValidAfter: out}, 4: {ID: 4}, 5: {ID: 5, Active: true, TokensValidAfter: out}, 6: nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkRefusedTokens(b *testing.B) {
	url := database(b)
	db := open(b, postgres.Options{URL: url})
	execute(b, direct(b, url), `INSERT INTO roomspa.users (id, email, role, password)
		SELECT i, 'u' || i || '@example.com', 'customer', '-' FROM generate_series(1, 50000) i`)
	issued := map[room.UserID]time.Time{}
	for i := range 20_000 {
		issued[room.UserID(2*i+1)] = time.Now()
	}
	for b.Loop() {
		if refused, err := db.RefusedTokens(b.Context(), issued); err != nil || len(refused) != 0 {
			b.Fatal(len(refused), err)
		}
	}
}
