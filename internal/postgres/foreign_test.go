package postgres_test

import (
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestAForeignTriggerIsNamed lets triggers and a rule of another application fail, each in its way.
func TestAForeignTriggerIsNamed(t *testing.T) {
	t.Parallel()
	server := world.StartPostgres(t)
	for name, tt := range map[string]struct{ made, detail, warning string }{
		"partition": {
			`
CREATE SCHEMA audit; CREATE TABLE audit.log (at timestamptz) PARTITION BY RANGE (at);
CREATE FUNCTION audit.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit.log VALUES (now()); RETURN NEW; END $$;
CREATE TRIGGER "Keep" AFTER INSERT ON roomspa.messages FOR EACH ROW EXECUTE FUNCTION audit.keep()`,
			"function audit.keep, table audit.log", `ALTER TABLE roomspa.messages DISABLE TRIGGER "Keep"`,
		},
		"gone": {
			`
CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.nowhere VALUES (1); RETURN NEW; END $$;
CREATE TRIGGER keep AFTER INSERT ON roomspa.messages FOR EACH ROW EXECUTE FUNCTION public.keep()`,
			`relation "public.nowhere" does not exist`, "DISABLE TRIGGER keep",
		},
		"raises": {
			`
CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
CREATE TRIGGER keep BEFORE INSERT ON roomspa.messages FOR EACH ROW EXECUTE FUNCTION public.keep()`,
			"not today, SQLSTATE P0001; in function keep", "DISABLE TRIGGER keep",
		},
		"rule": {
			`
CREATE TABLE public.copies (id bigint CHECK (id < 0));
CREATE RULE copy AS ON INSERT TO roomspa.cursors DO ALSO INSERT INTO public.copies VALUES (1)`,
			"", "DROP RULE copy ON roomspa.cursors",
		},
	} {
		execute(t, direct(t, server.URL("postgres")), "CREATE DATABASE "+name)
		if err := world.Migrate(t.Context(), server.URL(name)); err != nil {
			t.Fatal(err)
		}
		db := open(t, postgres.Options{URL: server.URL(name)})
		if s, err := db.CheckSettings(t.Context(), 1); err != nil || strings.Contains(strings.Join(s.Warnings, " "), "not roomspa's own") {
			t.Fatalf("%s: of a fresh schema: %v, %q", name, err, s.Warnings)
		}
		c := conversation(t, db, 1)
		execute(t, direct(t, server.URL(name)), tt.made)
		if s, err := db.CheckSettings(t.Context(), 1); err != nil || !strings.Contains(strings.Join(s.Warnings, " "), tt.warning) {
			t.Errorf("%s: %v, %q", name, err, s.Warnings)
		}
		if tt.detail == "" {
			continue
		}
		_, _, appended := db.Append(t.Context(), c, says("x", ""))
		_, checked := db.CheckMessage(t.Context())
		for _, err := range []error{appended, checked} {
			if cause.Of(err) != "postgres_foreign_trigger" || !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("%s: %v (%s)", name, err, cause.Of(err))
			}
		}
	}
}
