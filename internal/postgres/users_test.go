package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	ann := room.User{ID: 7, Email: "Ann@Example.com", Phone: "+4912345", Role: room.Therapist, Active: true}
	if _, err := db.CreateUser(t.Context(), ann, "hash"); err != nil {
		t.Fatal(err)
	}
	revoked := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	execute(t, direct(t, url), "UPDATE roomspa.users SET tokens_valid_after = $1 WHERE id = 7", revoked)
	ann.TokensValidAfter = revoked
	for i := range 20 { // draws ids beside the one that was given
		u := room.User{Email: fmt.Sprintf("user%d@example.com", i), Role: room.Customer, Active: i%2 == 0}
		created, err := db.CreateUser(t.Context(), u, "-")
		if err != nil {
			t.Fatal(err)
		}
		if u.ID = created.ID; cmp.Diff(u, created) != "" || u.ID == 7 {
			t.Errorf("created %+v", created)
		}
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			users, err := db.Users(t.Context(), []room.UserID{7, 12345678})
			if err != nil || len(users) != 1 || users[7] == nil {
				t.Errorf("%v, %v", users, err)
				return
			}
			if diff := cmp.Diff(ann, *users[7]); diff != "" {
				t.Error(diff)
			}
			users[7].Role = "changed by one caller" // and seen by no other
		})
	}
	wg.Wait()
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: database(t)})
	ann, err := db.CreateUser(t.Context(), room.User{Email: "Ann@Example.com", Phone: "+4912345", Role: room.Customer, Active: true}, "old")
	if err != nil {
		t.Fatal(err)
	}
	for _, identifier := range []string{"ann@example.com", "ANN@EXAMPLE.COM", "+4912345"} {
		u, hash, err := db.Credentials(t.Context(), identifier)
		if err != nil || hash != "old" || cmp.Diff(ann, u) != "" {
			t.Errorf("%s: %+v, %s, %v", identifier, u, hash, err)
		}
	}
	if _, _, err := db.Credentials(t.Context(), "bob@example.com"); !errors.Is(err, room.ErrNotFound) || errors.Is(err, room.ErrUnavailable) {
		t.Error(err)
	}
	if err := db.ReplaceHash(t.Context(), ann.ID, "old", "new"); err != nil {
		t.Error(err)
	}
	if err := db.ReplaceHash(t.Context(), ann.ID, "old", "newer"); !errors.Is(err, room.ErrNotFound) {
		t.Errorf("a hash was replaced that is not there: %v", err)
	}
	if _, hash, _ := db.Credentials(t.Context(), "+4912345"); hash != "new" {
		t.Errorf("the hash is %s", hash)
	}
	for field, u := range map[string]room.User{
		"email": {Email: "ann@EXAMPLE.com", Role: room.Customer},
		"phone": {Email: "b@example.com", Phone: "+4912345", Role: room.Customer},
		"id":    {ID: ann.ID, Email: "c@example.com", Role: room.Customer},
		"role":  {Email: "d@example.com", Role: "king"},
	} {
		_, err := db.CreateUser(t.Context(), u, "-")
		if invalid, ok := errors.AsType[*room.Invalid](err); !ok || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestAConversationHasOneCreator(t *testing.T) {
	t.Parallel()
	url := database(t)
	replicas := []*postgres.DB{open(t, postgres.Options{URL: url}), open(t, postgres.Options{URL: url})}
	const rooms, callers = 20, 16
	var created atomic.Int64
	var ids [rooms][callers]room.ID
	var wg sync.WaitGroup
	for r := range rooms {
		for i := range callers {
			wg.Go(func() {
				n := r
				if i%2 == 1 {
					n = rooms - 1 - r // in another order
				}
				c, err := replicas[i%2].Conversation(t.Context(), room.Room{Customer: room.UserID(n + 1), Therapist: 99}, 1)
				if err != nil {
					t.Error(err)
				}
				if c.Created {
					created.Add(1)
				}
				ids[n][i] = c.ID
			})
		}
	}
	wg.Wait()
	if created.Load() != rooms {
		t.Errorf("%d rooms had %d creators", rooms, created.Load())
	}
	for _, of := range ids {
		for _, id := range of {
			if id != of[0] || id == (room.ID{}) {
				t.Fatalf("one room has conversations %s and %s", of[0], id)
			}
		}
	}
	send(t, replicas[0], ids[3][0], says("x", ""))
	c, err := replicas[1].Conversation(t.Context(), room.Room{Customer: 4, Therapist: 99}, 1)
	if want := (room.Conversation{ID: ids[3][0], Number: c.Number, FirstSeq: 1, LastSeq: 1}); err != nil || c != want || c.Number < 1 {
		t.Errorf("got %+v, %v", c, err)
	}
}
