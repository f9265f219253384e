package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestReplicasSeeEachOthersHeartbeats(t *testing.T) {
	t.Parallel()
	url := database(t)
	a := room.Heartbeat{ID: "1", Replica: "a", SigningKey: "k", AcceptedKeys: []string{"k", "l"}}
	b := room.Heartbeat{
		ID: "2", Replica: "b", HeardSelf: 90 * time.Second, SigningKey: "l", AcceptedKeys: []string{"l"},
		Version: "1.2.3", Uptime: time.Hour, Settings: map[string]string{"redis-url": "number 5", "origins": "https://a.example"},
	}
	for name, pooled := range map[string]bool{"direct": false, "as behind PgBouncer": true} {
		db := open(t, postgres.Options{URL: url, PgBouncer: pooled})
		beats := func(own room.Heartbeat) []room.Heartbeat {
			t.Helper()
			_, others, err := db.Heartbeat(t.Context(), own, world.Limit)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for i := range others {
				if others[i].Age < 0 || others[i].Age > world.Limit {
					t.Errorf("%s: %+v", name, others[i])
				}
				// The server is on this machine; own.ClockOffset is not what is stored.
				if d := others[i].ClockOffset; d == 0 || d.Abs() > world.Limit {
					t.Errorf("%s: the clock is off by %v", name, d)
				}
				others[i].Age, others[i].ClockOffset = 0, 0
			}
			return others
		}
		if got := beats(b); len(got) != 0 {
			t.Errorf("%s: the first one sees %+v", name, got)
		}
		if diff := cmp.Diff([]room.Heartbeat{b}, beats(a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		a.HeardSelf = 10 * time.Second
		beats(a)
		if diff := cmp.Diff([]room.Heartbeat{a}, beats(b)); diff != "" {
			t.Errorf("%s, the second time (-want +got):\n%s", name, diff)
		}
		if all, err := db.Heartbeats(t.Context(), world.Limit); err != nil || len(all) != 2 {
			t.Errorf("%s: all are %+v, %v", name, all, err)
		}
		for _, id := range []string{a.ID, b.ID} {
			if err := db.DeleteHeartbeat(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestReplicasThatAreGoneAreForgotten(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, conn := open(t, postgres.Options{URL: url}), direct(t, url)
	execute(t, conn, `INSERT INTO roomspa.replicas
SELECT 'gone ' || n, 'gone', '0', '', '{}', now() - make_interval(secs => n) FROM unnest(ARRAY[10, 90, 3500, 3700, 10000]) AS n`)
	_, others, err := db.Heartbeat(t.Context(), room.Heartbeat{ID: "1", Replica: "a", AcceptedKeys: []string{}}, time.Minute)
	if err != nil || len(others) != 1 || others[0].ID != "gone 10" || others[0].Age < 10*time.Second {
		t.Errorf("%+v, %v", others, err)
	}
	var left int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM roomspa.replicas WHERE name = 'gone'").Scan(&left); err != nil || left != 3 {
		t.Errorf("%d rows are left, %v", left, err)
	}
}

// TestTheHeartbeatOfAPredecessorIsDeleted is a replica that was killed and came back under its
// name. A live one of the same name and those of other names stay.
func TestTheHeartbeatOfAPredecessorIsDeleted(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, conn := open(t, postgres.Options{URL: url}), direct(t, url)
	execute(t, conn, `INSERT INTO roomspa.replicas
SELECT name || n, name, '0', '', '{}', now() - make_interval(secs => n) FROM unnest(ARRAY['a', 'b']) AS name, unnest(ARRAY[100, 3000]) AS n`)
	own := room.Heartbeat{ID: "1", Replica: "a", AcceptedKeys: []string{}, Uptime: 10 * time.Minute}
	_, others, err := db.Heartbeat(t.Context(), own, time.Hour)
	var left []string
	for _, o := range others {
		left = append(left, o.ID)
	}
	if diff := cmp.Diff([]string{"a100", "b100", "b3000"}, slices.Sorted(slices.Values(left))); diff != "" || err != nil {
		t.Errorf("%v, others (-want +got):\n%s", err, diff)
	}
}

// TestNobodyAsksForTheTableOfANewerSchema is a replica that has come before its migration.
func TestNobodyAsksForTheTableOfANewerSchema(t *testing.T) {
	t.Parallel()
	url := database(t)
	conn := direct(t, url)
	execute(t, conn, "DROP TABLE roomspa.replicas; DELETE FROM roomspa.goose_db_version WHERE version_id > 5")
	db := open(t, postgres.Options{URL: url})
	if _, err := db.Probe(t.Context()); postgres.Cause(err) != "schema_too_old" {
		t.Fatal(err)
	}
	if _, _, err := db.Heartbeat(t.Context(), room.Heartbeat{ID: "1"}, time.Second); postgres.Cause(err) != "schema_too_old" {
		t.Error(err)
	}
}
