package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/story"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/adopt"
)

// secret signs the tokens of the transcripts.
const secret = "a-secret-of-the-transcripts-and-of-nothing-else"

// fixture holds rows of the predecessor's database; scripts run in directories of their own.
const fixture = "../../internal/tool/adopt/testdata/django.sql"

func TestMain(m *testing.M) {
	testscript.Main(world.Tests{M: m}, map[string]func(){"roomspa": main})
}

// TestTranscripts runs what testdata holds: sessions at a terminal, with a real
// Postgres and Redis of their own, that read as documentation. The environment is
// that of a replica, but for its schema: there is none yet.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, UpdateScripts: os.Getenv("ROOMSPA_UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			tb := env.T().(testing.TB)
			databaseURL := world.Database(tb, nil)
			redisURL, prefix := world.Redis(tb)
			env.Setenv("ROOMSPA_DATABASE_URL", databaseURL)
			env.Setenv("ROOMSPA_REDIS_URL", redisURL)
			env.Setenv("ROOMSPA_REDIS_PREFIX", prefix)
			env.Setenv("ROOMSPA_JWT_SECRET", secret)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else every command of a script takes a second to exit
			u, err := url.Parse(databaseURL)
			env.Setenv("DATABASE_HOST", u.Host)
			for _, name := range []string{"PUBLIC", "OPS"} { // addresses for a server that a script starts
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				env.Setenv(name, l.Addr().String())
				_ = l.Close()
			}
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"predecessor": predecessor,
			"sql":         sql,
			"ready":       ready,
			"story":       keepStory,
		},
	})
}

// predecessor adds the predecessor's tables to the database.
func predecessor(ts *testscript.TestScript, _ bool, _ []string) {
	rows, err := os.ReadFile(fixture)
	ts.Check(err)
	// The user's name is that of our schema, where the tables would be made otherwise.
	execute(ts, ts.Getenv("ROOMSPA_DATABASE_URL"), "SET search_path = public; "+adopt.Tables+string(rows))
}

// ready waits until the server whose ops address is given can be used.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(world.Limit); ; {
		response, err := http.Get("http://" + args[0] + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the server at %s is not ready", args[0])
		}
		<-time.After(20 * time.Millisecond)
	}
}

// sql runs what stands in a file, for what no command does.
func sql(ts *testscript.TestScript, _ bool, args []string) {
	execute(ts, ts.Getenv("ROOMSPA_DATABASE_URL"), ts.ReadFile(args[0]))
}

// keepStory leaves the story of a refused handshake as a replica does: its reference,
// code, reason and detail.
func keepStory(ts *testscript.TestScript, _ bool, args []string) {
	client, err := redis.Open(redis.Options{URL: ts.Getenv("ROOMSPA_REDIS_URL"), Prefix: ts.Getenv("ROOMSPA_REDIS_PREFIX")}, nil)
	ts.Check(err)
	defer client.Close()
	db, err := postgres.Open(context.Background(), postgres.Options{URL: ts.Getenv("ROOMSPA_DATABASE_URL")}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	ts.Check(err)
	defer db.Close()
	d, err := db.Deployment(context.Background())
	ts.Check(err)
	client.Use(d)
	s := story.Begin(args[0])
	s.Replica, s.Endpoint, s.Path, s.Remote, s.User, s.Role = "a", "chat", "/ws/chat/1/2/", "192.0.2.1", 7, "customer"
	ts.Check(s.Do("token found", func() error { s.Detail("a token of 231 bytes"); return nil }))
	ts.Check(s.Do("token decoded", func() error { return nil }))
	code, err := strconv.Atoi(args[1])
	ts.Check(err)
	s.Refuse(story.Refused, code, args[2], "", args[3])
	ts.Check(client.Stories.Keep(context.Background(), []*story.Story{s}))
}

func execute(ts *testscript.TestScript, databaseURL, statements string) {
	conn, err := pgx.Connect(context.Background(), databaseURL)
	ts.Check(err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(context.Background(), statements)
	ts.Check(err)
}
