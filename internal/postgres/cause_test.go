package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// TestEveryCauseHasItsWord breaks a real Postgres in each way, and looks for the word in
// what a use of it returns. The others are in TestWhatTheServerSays.
func TestEveryCauseHasItsWord(t *testing.T) {
	t.Parallel()
	for word, sql := range map[string]string{
		"postgres_wrong_password":       "",
		"postgres_read_only":            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
		"postgres_locked":               "BEGIN; LOCK TABLE roomspa.users IN ACCESS EXCLUSIVE MODE",
		"postgres_too_many_connections": "CREATE ROLE few_may_connect LOGIN PASSWORD 'x' CONNECTION LIMIT 0",
		"schema_missing":                "DROP SCHEMA roomspa CASCADE",
		"schema_too_old":                "DELETE FROM roomspa.goose_db_version WHERE version_id > 1",
		"schema_too_new":                "UPDATE roomspa.compatibility SET oldest_served = 99",
	} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			address := database(t)
			beside := direct(t, address)
			if sql != "" {
				execute(t, beside, sql)
			}
			switch word {
			case "postgres_wrong_password":
				address = asUser(t, address, "nobody_of_this_name")
			case "postgres_too_many_connections":
				t.Cleanup(func() { _, _ = beside.Exec(context.WithoutCancel(t.Context()), "DROP ROLE few_may_connect") })
				address = asUser(t, address, "few_may_connect")
			}
			db := open(t, postgres.Options{URL: address, LockTimeout: 200 * time.Millisecond})
			_, err := db.Probe(t.Context())
			if err == nil {
				_, err = db.Users(t.Context(), []room.UserID{1})
			}
			if got := cause.Of(err); got != word {
				t.Errorf("it is called %q: %v", got, err)
			}
			if cause.Cure(word) == "" || !strings.HasPrefix(word, "schema_") && !strings.HasPrefix(word, "postgres_") {
				t.Error("there is no cure for it")
			}
		})
	}
}

// TestTheFirstHandshakesMeetNoSchemaThatNobodyHasLookedAt: readiness is looked at every few
// seconds, and clients do not wait for it.
func TestTheFirstHandshakesMeetNoSchemaThatNobodyHasLookedAt(t *testing.T) {
	t.Parallel()
	address := database(t)
	execute(t, direct(t, address), "DELETE FROM roomspa.goose_db_version WHERE version_id > 1")
	db := open(t, postgres.Options{URL: address})
	eventually(t, "load users with a schema that is too old", func() error {
		_, err := db.Users(t.Context(), []room.UserID{1})
		if cause.Of(err) == "schema_too_old" {
			return nil
		}
		return fmt.Errorf("it does not fail for that: %w", err)
	})
}

func asUser(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, "x")
	return u.String()
}
