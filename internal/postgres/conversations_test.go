package postgres_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

func TestSummariesAreNewestFirstAndPaged(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: database(t)})
	var ids []room.ID
	for therapist := range 5 {
		c, err := db.Conversation(t.Context(), room.Room{Customer: 1, Therapist: room.UserID(10 + therapist)}, 1)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	if _, err := db.Conversation(t.Context(), room.Room{Customer: 2, Therapist: 10}, 1); err != nil {
		t.Fatal(err)
	}
	want := []string{"", "", "2", "1", "1"} // of the last text; the silent ones are the youngest
	for i, text := range map[int]string{3: "1", 4: "1"} {
		send(t, db, ids[i], says(text, ""))
	}
	send(t, db, ids[2], says("1", ""))
	send(t, db, ids[2], says("2", ""))

	all, more, err := db.Summaries(t.Context(), 1, nil, 100, mebibyte)
	if err != nil || more || len(all) != 5 {
		t.Fatalf("%d conversations, more %v, %v", len(all), more, err)
	}
	texts := map[string]int{}
	for i, s := range all {
		if i > 0 && s.Place().At.After(all[i-1].Place().At) {
			t.Errorf("%d comes behind an older one", i)
		}
		text := ""
		if s.Last != nil {
			if text = s.Last.Text; s.Last.Conversation != s.ID || s.Last.Sender != 1 {
				t.Errorf("the last message of %s is %+v", s.ID, s.Last)
			}
		}
		texts[text]++
	}
	counted := map[string]int{}
	for _, text := range want {
		counted[text]++
	}
	if diff := cmp.Diff(counted, texts); diff != "" {
		t.Error(diff)
	}
	var paged []room.Summary
	var behind *room.Place
	for page := 0; ; page++ {
		next, more, err := db.Summaries(t.Context(), 1, behind, 2, mebibyte)
		if err != nil {
			t.Fatal(err)
		}
		paged = append(paged, next...)
		if !more {
			break
		}
		place := next[len(next)-1].Place()
		behind = &place
	}
	if diff := cmp.Diff(all, paged); diff != "" {
		t.Errorf("page by page it is another list:\n%s", diff)
	}
	for user, n := range map[room.UserID]int{10: 2, 11: 1, 2: 1, 99: 0} {
		if list, _, err := db.Summaries(t.Context(), user, nil, 10, mebibyte); err != nil || len(list) != n {
			t.Errorf("user %d has %d conversations, want %d; %v", user, len(list), n, err)
		}
	}
}

func TestRoomOf(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: database(t)})
	id := conversation(t, db, 7)
	if r, err := db.RoomOf(t.Context(), id); err != nil || r != (room.Room{Customer: 7, Therapist: 8}) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := db.RoomOf(t.Context(), room.ID{1}); !errors.Is(err, room.ErrNotFound) {
		t.Error(fmt.Sprint("found ", err))
	}
}
