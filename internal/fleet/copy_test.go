package fleet_test

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// copyDatabase returns a world with a copy of the database of another one, on the same Redis
// and with the same prefix. Postgres copies no database that is in use.
func copyDatabase(t *testing.T, original *world.World) *world.World {
	t.Helper()
	u, err := url.Parse(original.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	from := strings.TrimPrefix(u.Path, "/")
	name := "copy_of_" + from
	u.Path = "/postgres"
	server := (&world.World{DatabaseURL: u.String()}).SQL(t)
	execute := func(sql string, args ...any) {
		t.Helper()
		if _, err := server.Exec(context.WithoutCancel(t.Context()), sql, args...); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", from)
	world.Eventually(t, "nobody uses the database", func() (bool, any) {
		var n int
		err := server.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", from).Scan(&n)
		return n == 0 && err == nil, err
	})
	execute("CREATE DATABASE " + name + " TEMPLATE " + from)
	t.Cleanup(func() { execute("DROP DATABASE " + name + " WITH (FORCE)") })
	clone := *original
	u.Path = "/" + name
	clone.DatabaseURL = u.String()
	return &clone
}

// TestACopiedDatabaseIsAnotherDeployment copies a database that has been used, while the
// replicas of the original run.
func TestACopiedDatabaseIsAnotherDeployment(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	far := w.BehindProxies(t)
	a, b := far.Pair(t)
	here, watch := a.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	here.Deliver(t, "before the copy", "1")
	here.Deliver(t, "before the copy", "2")
	watch.ExpectMessages(t, 0, 2)
	id := deploymentID(t, w)

	far.ToPostgres.Cut()
	clone := copyDatabase(t, w)
	far.ToPostgres.Heal()
	if copied := deploymentID(t, clone); copied != id {
		t.Fatalf("the copy has the id %s, and the original %s", copied, id)
	}
	c := clone.Ready(t, "c")
	a.WaitReady(t)
	b.WaitReady(t)
	now := deploymentID(t, clone)
	if now == id || deploymentID(t, w) != id {
		t.Errorf("the original is %s, was %s, and the copy is %s", deploymentID(t, w), id, now)
	}
	line := regexp.MustCompile(`level=WARNING msg="\[Database\] Copied database found: it has the new deployment id ` + now + `, and the original, if it still exists, keeps ` + id)
	if n := len(line.FindAllString(c.Log.String(), -1)); n != 1 {
		t.Errorf("it is logged %d times", n)
	}

	there, thereToo := c.Chat(t, world.Customer), c.Chat(t, world.Therapist)
	if all := clone.Messages(t); len(all) != 2 {
		t.Errorf("the copy has the messages %v", all)
	}
	here.Deliver(t, "original", "3")
	there.Deliver(t, "copy", "3")
	here.Deliver(t, "original", "4")
	for s, text := range map[*world.Socket]string{watch: "original", thereToo: "copy"} {
		if m := s.ExpectMessages(t, 2, 1)[0]; m.Text != text {
			t.Errorf("got %q, want %q", m.Text, text)
		}
	}
	watch.ExpectMessages(t, 3, 1)
	for _, s := range []*world.Socket{watch, thereToo} {
		s.ExpectNothing(t)
	}
	for r, name := range map[*world.Replica]string{a: now, b: now, c: id} {
		waitWarning(t, r, "redis_shared", name)
		expectNothingDropped(t, r)
		if log := r.Log.String(); strings.Contains(log, "Database replaced") || strings.Contains(log, "went back in time") {
			t.Errorf("the identity changes:\n%s", log)
		}
	}
}

// TestReplicasOnTwoServersSaySo has two replicas on two servers that are the same deployment, as
// after a move to a standby that was promoted.
func TestReplicasOnTwoServersSaySo(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Exec(t, "CREATE OR REPLACE FUNCTION roomspa.origin() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'both' $$")
	w.Exec(t, "UPDATE roomspa.deployment SET origin = 'both'")
	clone := copyDatabase(t, w)
	a, b := w.Ready(t, "a"), clone.Ready(t, "b")
	address := func(w *world.World) string {
		u, err := url.Parse(w.DatabaseURL)
		if err != nil {
			t.Fatal(err)
		}
		return u.Host + u.Path
	}
	here, there := address(w), address(clone)
	waitWarning(t, a, "split_database", "b ("+there+", here "+here+")")
	waitWarning(t, b, "split_database", "a ("+here+", here "+there+")")
	for r, at := range map[*world.Replica]string{a: here, b: there} {
		if _, answer := r.Readyz(t); !strings.HasSuffix(world.Finding(answer, "postgres").Address, at) {
			t.Errorf("the address is %q, want %s", world.Finding(answer, "postgres").Address, at)
		}
		if n := r.Metric(t, "roomspa_replicas_on_another_database"); n != 1 {
			t.Errorf("the metric is %v", n)
		}
		if log := r.Log.String(); !strings.Contains(log, `level=ERROR msg="[Replicas] Database split: `) || !strings.Contains(log, "cause=split_database") {
			t.Errorf("the log is\n%s", log)
		}
	}
}
