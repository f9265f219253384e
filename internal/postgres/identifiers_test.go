package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestIdentifiersAsPeopleTypeThem runs in a database with the locale C.
func TestIdentifiersAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	user, err := db.CreateUser(t.Context(), room.User{Email: "Ömer@Example.com", Phone: "+49 170-902783", Role: room.Customer, Active: true}, "-")
	if err != nil {
		t.Fatal(err)
	}
	if user.Email != "ömer@example.com" || user.Phone != "+49170902783" {
		t.Errorf("created %+v", user)
	}
	execute(t, direct(t, url), `INSERT INTO roomspa.users (email, phone, role, password) VALUES ('sql@example.com', '(030) 12.34/56', 'customer', '-'),
		('zeros@example.com', '0041-79-1234567', 'customer', '-'), ('trunk@example.com', '+44(0)20 7946', 'customer', '-')`)
	for want, identifiers := range map[string][]string{
		"ömer@example.com":  {"ömer@example.com", "ÖMER@example.COM", "O\u0308mer@example.com", "+49170902783", "+49 170 902783", "(+49) 170-902783", "+49.170.902783", "0049 170 902783", "+49 (0)170 902783"},
		"zeros@example.com": {"0041 79 123 45 67", "+41 79 123 45 67", "0041791234567"},
		"trunk@example.com": {"+44 (0)20 7946", "+44(0)20-7946"},
		"sql@example.com":   {"030123456", "030 123-456", "(030) 12.34/56"},
	} {
		for _, identifier := range identifiers {
			if u, _, err := db.Credentials(t.Context(), identifier); err != nil || u.Email != want {
				t.Errorf("%q is %+v, %v", identifier, u, err)
			}
		}
	}
	for field, u := range map[string]room.User{
		"phone": {Email: "b@example.com", Phone: "030.123456", Role: room.Customer},
		"email": {Email: "ÖMER@example.com", Role: room.Customer},
	} {
		_, err := db.CreateUser(t.Context(), u, "-")
		if invalid, ok := errors.AsType[*room.Invalid](err); !ok || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestMigrationNamesUsersWithTheSameIdentifier(t *testing.T) {
	t.Parallel()
	url := database(t)
	conn := direct(t, url)
	for _, statement := range []string{
		`DROP INDEX roomspa.users_phone_number`,
		`DELETE FROM roomspa.goose_db_version WHERE version_id >= 15`,
		`INSERT INTO roomspa.users (id, email, phone, role, password) VALUES
			(901, 'a@example.com', '+49 1', 'customer', '-'), (902, 'b@example.com', '+491', 'customer', '-'),
			(903, 'Ä@example.com', NULL, 'customer', '-'), (904, 'Ü@example.com', NULL, 'customer', '-'), (905, 'ü@example.com', NULL, 'customer', '-')`,
	} {
		execute(t, conn, statement)
	}
	var log bytes.Buffer
	if _, err := postgres.Migrate(t.Context(), postgres.Options{URL: url}, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"level=WARN", "Users 901, 902 have the same phone number", "same email address in another case", "user 904"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "example.com") {
		t.Errorf("the log has an address:\n%s", log.String())
	}
	db := open(t, postgres.Options{URL: url})
	for identifier, id := range map[string]room.UserID{"+49 1": 901, "+491": 902, "+49-1": 901, "ä@example.com": 903, "Ü@example.com": 905} {
		if u, _, err := db.Credentials(t.Context(), identifier); err != nil || u.ID != id {
			t.Errorf("%s is %+v, %v", identifier, u, err)
		}
	}
}

// TestUsersAreWrittenWhileThePhoneNumbersAreIndexed: the build waits for the transaction of
// another client, and users can be written meanwhile.
func TestUsersAreWrittenWhileThePhoneNumbersAreIndexed(t *testing.T) {
	t.Parallel()
	url := database(t)
	o := world.Patient(postgres.Options{URL: url})
	downTo(t, o, 14)
	other, conn := direct(t, url), direct(t, url)
	execute(t, other, "BEGIN")
	execute(t, other, `INSERT INTO roomspa.users (email, role, password) VALUES ('a@example.com', 'customer', '-')`)
	done := make(chan error, 1)
	go func() {
		_, err := postgres.Migrate(context.WithoutCancel(t.Context()), o, slog.New(slog.DiscardHandler))
		done <- err
	}()
	world.Eventually(t, "the index is being built", func() (found bool, _ any) {
		err := conn.QueryRow(t.Context(), "SELECT to_regclass('roomspa.users_phone_number') IS NOT NULL").Scan(&found)
		return found, err
	})
	execute(t, conn, "SET lock_timeout = '2s'")
	execute(t, conn, `INSERT INTO roomspa.users (email, phone, role, password) VALUES ('b@example.com', '+491', 'customer', '-')`)
	select {
	case err := <-done:
		t.Fatal("the migration did not wait", err)
	default:
	}
	execute(t, other, "COMMIT")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if left := invalidIndexes(t, conn); len(left) > 0 {
		t.Error(left)
	}
}
