package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// A member is a replica that only sends heartbeats and messages.
type member struct {
	*postgres.DB
	name string
	log  *journal
}

// journal is a log that may be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

// count returns the number of lines that a pattern matches.
func (j *journal) count(pattern string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(regexp.MustCompile(pattern).FindAllString(j.b.String(), -1))
}

// members returns n replicas of a database.
func members(t *testing.T, o postgres.Options, n int) []*member {
	t.Helper()
	all := make([]*member, n)
	for i := range all {
		log := &journal{}
		db := world.OpenDB(t, o, slog.New(slog.NewTextHandler(log, nil)), prometheus.NewRegistry())
		all[i] = &member{db, fmt.Sprint("replica ", i), log}
	}
	return all
}

// beat sends a heartbeat and returns what it says about the deployment.
func (m *member) beat(t *testing.T) event.Deployment {
	t.Helper()
	d, _, err := m.Heartbeat(t.Context(), room.Heartbeat{ID: m.name, Replica: m.name, AcceptedKeys: []string{}}, world.Limit)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// total returns how many lines of all logs match.
func total(all []*member, pattern string) (n int) {
	for _, m := range all {
		n += m.log.count(pattern)
	}
	return n
}

const (
	copyFound = `level=WARN msg="\[Database\] Copied database found`
	restored  = `level=ERROR msg="\[Database\] Database went back in time.* cause=database_restored`
	followed  = `level=WARN msg="\[Database\] Database went back in time: another replica.* cause=database_restored`
)

// beatAtOnce lets all replicas send their first heartbeat at the same time: they wait for
// the row until all of them do.
func beatAtOnce(t *testing.T, target string, all []*member) []event.Deployment {
	t.Helper()
	conn := direct(t, target)
	execute(t, conn, "BEGIN")
	execute(t, conn, "SELECT FROM roomspa.deployment FOR UPDATE")
	got := make([]event.Deployment, len(all))
	var wg sync.WaitGroup
	for i, m := range all {
		wg.Go(func() {
			d, _, err := m.Heartbeat(t.Context(), room.Heartbeat{ID: m.name, AcceptedKeys: []string{}}, world.Limit)
			if err != nil {
				t.Error(err)
			}
			got[i] = d
		})
	}
	waitForLocks(t, target, len(all))
	execute(t, conn, "ROLLBACK")
	wg.Wait()
	return got
}

func TestACopyGetsOneIDOfItsOwn(t *testing.T) {
	t.Parallel()
	target := database(t) // every database of a test is a copy of a template
	all := members(t, postgres.Options{URL: target}, 3)
	original, err := all[0].Deployment(t.Context())
	if err != nil || len(original.Keys) != 1 || original.Keys[0].Secret == [32]byte{} || original.Timeline != 1 {
		t.Fatalf("%+v, %v", original, err)
	}
	got := beatAtOnce(t, target, all)
	for _, d := range got {
		if d.ID == original.ID || !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(d.ID) {
			t.Errorf("deployment %q is a copy of %q", d.ID, original.ID)
		}
		if len(d.Keys) != 1 || d.Keys[0].ID == original.Keys[0].ID || d.Keys[0].Secret == original.Keys[0].Secret || d.Keys[0].Secret == [32]byte{} {
			t.Errorf("the keys of the copy are %v, those of the original %v", d.Keys, original.Keys)
		}
		if diff := cmp.Diff(got[0], d); diff != "" {
			t.Errorf("the replicas differ:\n%s", diff)
		}
	}
	if n := total(all, copyFound+".*"+original.ID); n != 1 {
		t.Errorf("%d replicas say that they have found a copy", n)
	}
	for _, m := range all {
		if d := m.beat(t); cmp.Diff(got[0], d) != "" {
			t.Errorf("the next heartbeat: %v", d)
		}
	}
	if read, err := all[2].Deployment(t.Context()); err != nil || cmp.Diff(got[0], read) != "" {
		t.Errorf("read %v, %v", read, err)
	}
	if n := total(all, `level=(WARN|ERROR)`); n != 1 {
		t.Errorf("%d warnings and errors", n)
	}
}

// TestConcurrentHeartbeatsAreNoRestore although their answers may come in any order.
func TestConcurrentHeartbeatsAreNoRestore(t *testing.T) {
	t.Parallel()
	m := members(t, postgres.Options{URL: database(t)}, 1)
	first := m[0].beat(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				d, _, err := m[0].Heartbeat(t.Context(), room.Heartbeat{ID: fmt.Sprint(i), AcceptedKeys: []string{}}, world.Limit)
				if err != nil || d.Timeline != first.Timeline {
					t.Errorf("timeline %d, %v", d.Timeline, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestARoleThatCannotReadTheOrigin is a database without superuser, on a service that does
// not let it read the control file.
func TestARoleThatCannotReadTheOrigin(t *testing.T) {
	t.Parallel()
	admin := database(t)
	conn := direct(t, admin)
	var name string
	if err := conn.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	role := "owner_" + name
	execute(t, conn, "DROP SCHEMA roomspa CASCADE")
	execute(t, conn, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
	execute(t, conn, "CREATE ROLE "+role+" LOGIN PASSWORD '"+secret+"'")
	execute(t, conn, "GRANT CREATE ON DATABASE "+name+" TO "+role)
	t.Cleanup(func() {
		_, _ = conn.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+"; DROP ROLE "+role)
	})
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, secret)
	if err := world.Migrate(t.Context(), u.String()); err != nil { // as the owner of the schema alone
		t.Fatal(err)
	}
	origin := func() (known bool) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT origin IS NOT NULL FROM roomspa.deployment").Scan(&known); err != nil {
			t.Fatal(err)
		}
		return known
	}
	limited := members(t, postgres.Options{URL: u.String()}, 1)[0]
	first := limited.beat(t)
	if second := limited.beat(t); first.ID != second.ID || origin() {
		t.Errorf("%v, then %v; the origin is known: %v", first, second, origin())
	}
	// Somebody who may read it fills it in, and for those who may not nothing changes.
	able := members(t, postgres.Options{URL: admin}, 1)[0]
	if d := able.beat(t); d.ID != first.ID || !origin() {
		t.Errorf("%v; the origin is known: %v", d, origin())
	}
	if d := limited.beat(t); d.ID != first.ID || !origin() {
		t.Errorf("%v; the origin is known: %v", d, origin())
	}
	if n := total([]*member{limited, able}, `level=(WARN|ERROR)`); n != 0 {
		t.Errorf("%d warnings and errors", n)
	}
	if _, _, err := limited.RotateKey(t.Context(), false); err != nil {
		t.Error(err)
	}
}

func TestAReplacedDatabaseIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	target := database(t)
	all := members(t, postgres.Options{URL: target}, 2)
	first := all[0].beat(t)
	all[1].beat(t)
	c := conversation(t, all[0].DB, 1)
	send(t, all[0].DB, c, says("of the old one", ""))
	execute(t, direct(t, target), "UPDATE roomspa.deployment SET id = '0123456789abcdef', heartbeats = 0; DELETE FROM roomspa.messages")
	for _, m := range all {
		d := m.beat(t)
		if d.ID != "0123456789abcdef" || d.Timeline != first.Timeline {
			t.Errorf("%v", d)
		}
	}
	if n := total(all, `Database replaced: its deployment id is 0123456789abcdef and was `+first.ID); n != 2 || total(all, restored) != 0 {
		t.Errorf("%d replicas say that it was replaced", n)
	}
}
