package adopt_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/adopt"
)

// fixture is a dump of what make.py has made with Django 3.2, so that the tests need
// no Django.
const fixture = "testdata/predecessor.sql"

func TestMain(m *testing.M) { world.Main(m) }

// dumped returns the URL of a database of the predecessor.
func dumped(t testing.TB) string {
	t.Helper()
	return world.Database(t, func(ctx context.Context, databaseURL string) error {
		sql, err := os.ReadFile(fixture)
		if err != nil {
			return err
		}
		conn, err := pgx.Connect(ctx, databaseURL)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, string(sql))
		return err
	})
}

// real returns the URL of a database that the real Django makes, or skips the test.
func real(t testing.TB) string {
	t.Helper()
	python := ""
	for _, p := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), p, "-c", "import django, psycopg2").Run() == nil {
			python = p
			break
		}
	}
	if python == "" {
		t.Skip("no python3 here has Django and psycopg2 (Debian: apt-get install python3-django python3-psycopg2); the fixture stands for it in the other tests")
	}
	databaseURL := world.Database(t, nil)
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "make.py", u.Hostname(), u.Port(), u.Path[1:], u.User.Username())
	cmd.Dir = "testdata/predecessor"
	password, _ := u.User.Password()
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make.py: %v\n%s", err, out)
	}
	return databaseURL
}

func TestFixtureOfTheRealDjango(t *testing.T) {
	t.Parallel()
	if !*world.Update {
		t.Skip("with -update it is dumped anew")
	}
	out, err := exec.CommandContext(t.Context(), "pg_dump", "--inserts", "--rows-per-insert=100", "--no-owner", "--no-privileges",
		"--no-comments", real(t)).Output()
	if err != nil {
		t.Fatal(err)
	}
	sql := regexp.MustCompile(`(?m)^(\\.*|--.*|SET .*|SELECT pg_catalog\.set_config.*)?\n`).ReplaceAll(out, nil)
	if err := os.WriteFile(fixture, sql, 0o644); err != nil {
		t.Fatal(err)
	}
}

// open returns our database, empty but for its schema.
func open(t testing.TB) (db *postgres.DB, databaseURL string) {
	t.Helper()
	databaseURL = world.Database(t, world.Migrate)
	return (&world.World{DatabaseURL: databaseURL}).OpenPostgres(t), databaseURL
}

// options are the defaults of the command.
func options(source string) adopt.Options {
	return adopt.Options{URL: source, Tables: defaults, Roles: map[string]room.Role{"client": room.Customer}}
}

// found is the findings by kind.
func found(r adopt.Report) map[string]int64 {
	kinds := map[string]int64{}
	for _, f := range r.Findings {
		kinds[f.Kind] = f.Count
		if f.Means == "" {
			panic(fmt.Sprint("nobody says what ", f.Kind, " means"))
		}
	}
	return kinds
}

// defaults are those of the command: the names that Django gives to an app "app" with the users and
// an app "chat".
var defaults = adopt.Tables{
	Users: "app_user", UserID: "id", UserEmail: "email", UserPhone: "phone", UserJoined: "date_joined",
	UserRole: "role", UserActive: "is_active", UserPassword: "password",
	Conversations: "chat_conversation", ConversationID: "id", ConversationCustomer: "customer_id",
	ConversationTherapist: "therapist_id", ConversationCreated: "created_at",
	Messages: "chat_message", MessageID: "id", MessageConversation: "conversation_id", MessageSender: "sender_id",
	MessageText: "message", MessageCreated: "created_at",
}
