package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

func TestReportsAreOpenUntilTheyAreClosed(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	c := conversation(t, db, 1)
	send(t, db, c, says("x", ""))
	add := func(r room.Report) int64 {
		t.Helper()
		id, err := db.AddReport(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := add(room.Report{Reporter: 2, Conversation: c, Seq: 1, Reason: "spam", Text: "look"})
	second := add(room.Report{Reporter: 2, Conversation: c, Reason: "other"})
	if _, err := db.AddReport(t.Context(), room.Report{Reporter: 2, Conversation: c, Seq: 2, Reason: "x"}); !errors.Is(err, room.ErrNotFound) {
		t.Errorf("of a message that does not exist: %v", err)
	}
	n, oldest, err := db.OpenReports(t.Context())
	if err != nil || n != 2 || time.Since(oldest) > time.Hour {
		t.Errorf("%d, %s, %v", n, oldest, err)
	}
	if err := db.CloseReport(t.Context(), first, "warned"); err != nil {
		t.Fatal(err)
	}
	if err := db.CloseReport(t.Context(), 99, "warned"); !errors.Is(err, room.ErrNotFound) {
		t.Error(err)
	}
	open, err := db.Reports(t.Context(), false, 10)
	if err != nil || len(open) != 1 || open[0].ID != second || open[0].Seq != 0 || !open[0].ClosedAt.IsZero() {
		t.Errorf("%+v, %v", open, err)
	}
	if all, err := db.Reports(t.Context(), true, 10); err != nil || len(all) != 2 || all[0].ID != second {
		t.Errorf("%+v, %v", all, err)
	}
	closed, err := db.Report(t.Context(), first)
	if err != nil || closed.Resolution != "warned" || closed.ClosedAt.IsZero() || closed.Seq != 1 || closed.Text != "look" {
		t.Errorf("%+v, %v", closed, err)
	}
}

func TestOneUserReportsSoOftenADay(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, conn := open(t, postgres.Options{URL: url}), direct(t, url)
	report := room.Report{Reporter: 2, Conversation: conversation(t, db, 1), Reason: "spam"}
	for range room.ReportsPerDay {
		if _, err := db.AddReport(t.Context(), report); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.AddReport(t.Context(), report); !errors.Is(err, room.ErrTooMany) {
		t.Error(err)
	}
	report.Reporter = 1
	if _, err := db.AddReport(t.Context(), report); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	execute(t, conn, `UPDATE roomspa.reports SET created_at = now() - interval '25 hours' WHERE id IN (SELECT min(id) FROM roomspa.reports)`)
	report.Reporter = 2
	if _, err := db.AddReport(t.Context(), report); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

func TestEraseClearsWhatAUserHasReported(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	if _, err := db.CreateUser(t.Context(), room.User{ID: 1, Email: "ann@example.com", Role: room.Customer, Active: true}, "hash"); err != nil {
		t.Fatal(err)
	}
	report := room.Report{Reporter: 1, Conversation: conversation(t, db, 1), Reason: "secret word", Text: "secret text"}
	id, err := db.AddReport(t.Context(), report)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.EraseUser(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if r, err := db.Report(t.Context(), id); err != nil || r.Text != "" || r.Reporter != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := db.AddReport(t.Context(), report); !errors.Is(err, room.ErrErased) {
		t.Errorf("after it: %v", err)
	}
	if leak := everywhere(t, url, "secret"); leak != "" {
		t.Errorf("it is still there: %s", leak)
	}
}

func TestBlocksHaveADirection(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: database(t)})
	conversation(t, db, 1)
	in, none := room.Room{Customer: 1, Therapist: 2}, room.Room{Customer: 3, Therapist: 2}
	for _, c := range []struct {
		block           room.Block
		active, changed bool
		want            room.Blocks
	}{
		{room.Block{Blocker: 2, Blocked: 1}, true, true, room.Blocks{ByTherapist: true}},
		{room.Block{Blocker: 2, Blocked: 1}, true, false, room.Blocks{ByTherapist: true}},
		{room.Block{Blocker: 1, Blocked: 2}, true, true, room.Blocks{ByTherapist: true, ByCustomer: true}},
		{room.Block{Blocker: 2, Blocked: 1}, false, true, room.Blocks{ByCustomer: true}},
	} {
		changed, err := db.SetBlock(t.Context(), c.block, in, c.active)
		if err != nil || changed != c.changed {
			t.Errorf("%+v: changed %v, %v", c, changed, err)
		}
		if got, err := db.Blocks(t.Context(), []room.Room{in, none}); err != nil || got[in] != c.want || got[none] != (room.Blocks{}) {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
	if _, err := db.SetBlock(t.Context(), room.Block{Blocker: 3, Blocked: 2}, none, true); !errors.Is(err, room.ErrNotFound) {
		t.Errorf("without a conversation: %v", err)
	}
	if changed, err := db.ChangedBlocks(t.Context(), time.Minute); err != nil || len(changed) != 2 {
		t.Errorf("%+v, %v", changed, err)
	}
}
