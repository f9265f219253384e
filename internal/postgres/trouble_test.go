package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestAnOutageNamesTheTroubleBeforeIt lets a trigger say that the disk is full, and stops the
// server, as a full disk does.
func TestAnOutageNamesTheTroubleBeforeIt(t *testing.T) {
	t.Parallel()
	server := world.StartPostgres(t)
	if err := world.Migrate(t.Context(), server.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	db := open(t, postgres.Options{URL: server.URL("postgres")})
	c := conversation(t, db, 1)
	execute(t, direct(t, server.URL("postgres")), `
CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file "base/5/16385": No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON roomspa.messages FOR EACH ROW EXECUTE FUNCTION public.full()`)
	if _, _, err := db.Append(t.Context(), c, says("x", "")); cause.Of(err) != "postgres_disk_full" {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the outage is named with its reason", func() error {
		_, err := db.Probe(t.Context())
		if cause.Of(err) == "postgres_refused" && strings.Contains(err.Error(), "connection refused; before that postgres_disk_full: could not extend file") && strings.Contains(err.Error(), "Free disk space") {
			return nil
		}
		return fmt.Errorf("want postgres_refused, and before that the full disk: %w", err)
	})
}

// TestADatabaseThatLacksACharacter sends one to a database whose encoding is not UTF8.
func TestADatabaseThatLacksACharacter(t *testing.T) {
	t.Parallel()
	server := world.StartPostgres(t)
	execute(t, direct(t, server.URL("postgres")), "CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0")
	if err := world.Migrate(t.Context(), server.URL("old")); err != nil {
		t.Fatal(err)
	}
	db := open(t, postgres.Options{URL: server.URL("old")})
	c := conversation(t, db, 1)
	if _, _, err := db.Append(t.Context(), c, says("Grüße", "")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.Append(t.Context(), c, says("😀", "")); cause.Of(err) != "postgres_encoding" || !strings.Contains(err.Error(), "LATIN1") {
		t.Errorf("a character that it lacks: %v (%s)", err, cause.Of(err))
	}
}
