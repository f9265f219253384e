package postgres_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

func TestChangesOfUsersAreFoundWhoeverMakesThem(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, sql := open(t, postgres.Options{URL: url}), direct(t, url)
	execute(t, sql, `INSERT INTO roomspa.users (id, email, role, password)
		SELECT i, 'u' || i || '@example.com', 'customer', '-' FROM generate_series(1, 9) i`)
	since := ""
	changed := func(want ...room.UserID) {
		t.Helper()
		// Transactions of other tests on this server make changes come again.
		eventually(t, "the changes", func() error {
			users, next, err := db.ChangedUsers(t.Context(), since)
			if slices.Sort(users); err == nil && !slices.Equal(users, want) {
				err = fmt.Errorf("changed: %v; want %v", users, want)
			}
			if err == nil || len(want) == 0 {
				since = next
			}
			return err
		})
	}
	changed()
	execute(t, sql, "UPDATE roomspa.users SET role = 'support' WHERE id = 1")
	execute(t, sql, "UPDATE roomspa.users SET tokens_valid_after = now() WHERE id = 2")
	execute(t, sql, "UPDATE roomspa.users SET password = '!', role = role WHERE id = 4")
	execute(t, sql, "DELETE FROM roomspa.users WHERE id = 5")
	if err := errors.Join(db.SetActive(t.Context(), 3, false), db.SetActive(t.Context(), 6, true)); err != nil {
		t.Error(err)
	}
	if err := db.SetActive(t.Context(), 999, false); !errors.Is(err, room.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	changed(1, 2, 3, 5)
	changed()
}

// Transactions commit in another order than they begin.
func TestAChangeThatIsCommittedLateIsFound(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, late, sql := open(t, postgres.Options{URL: url}), direct(t, url), direct(t, url)
	execute(t, sql, `INSERT INTO roomspa.users (id, email, role, password)
		SELECT i, 'u' || i || '@example.com', 'customer', '-' FROM generate_series(1, 2) i`)
	execute(t, late, "BEGIN; UPDATE roomspa.users SET is_active = false WHERE id = 1")
	execute(t, sql, "UPDATE roomspa.users SET is_active = false WHERE id = 2")
	users, since, err := db.ChangedUsers(t.Context(), "")
	if err != nil || !slices.Equal(users, []room.UserID{2}) {
		t.Fatal(users, err)
	}
	if err := db.ForgetUserChanges(t.Context(), since); err != nil {
		t.Fatal(err)
	}
	execute(t, late, "COMMIT")
	if users, _, err = db.ChangedUsers(t.Context(), since); err != nil || !slices.Contains(users, 1) {
		t.Fatal(users, err)
	}
	eventually(t, "all is forgotten", func() error {
		users, next, err := db.ChangedUsers(t.Context(), "")
		if err == nil && len(users) > 0 {
			err = fmt.Errorf("left: %v", users)
		}
		return errors.Join(err, db.ForgetUserChanges(t.Context(), next))
	})
}

func TestUsersThatAreAViewAreNotWatched(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, sql := open(t, postgres.Options{URL: url}), direct(t, url)
	if _, err := postgres.MigrateDown(t.Context(), postgres.Options{URL: url}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	execute(t, sql, "ALTER TABLE roomspa.users RENAME TO app_users; CREATE VIEW roomspa.users AS SELECT * FROM roomspa.app_users")
	if _, err := postgres.Migrate(t.Context(), postgres.Options{URL: url}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if users, _, err := db.ChangedUsers(t.Context(), ""); err != nil || len(users) != 0 {
		t.Errorf("%v, %v", users, err)
	}
}
