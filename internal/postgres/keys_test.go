package postgres_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/postgres"
)

// later lets time pass for the keys, by the database's clock.
func later(t *testing.T, conn *pgx.Conn, d time.Duration) {
	t.Helper()
	execute(t, conn, "UPDATE roomspa.master_keys SET seals_at = seals_at - $1::interval, opens_until = opens_until - $1::interval", d)
}

// about fails unless a time is d from now, give or take a busy machine.
func about(t *testing.T, what string, at time.Time, d time.Duration) {
	t.Helper()
	if off := time.Until(at) - d; off.Abs() > 20*time.Second {
		t.Errorf("%s in %v, want %v", what, time.Until(at), d)
	}
}

func TestRotatingTheKey(t *testing.T) {
	t.Parallel()
	for name, pooled := range map[string]bool{"direct": false, "as behind PgBouncer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := database(t)
			conn := direct(t, target)
			m := members(t, postgres.Options{URL: target, PgBouncer: pooled}, 1)[0]
			want := func(when string, ids ...event.KeyID) {
				t.Helper()
				var got []event.KeyID
				d := m.beat(t)
				for _, k := range d.Keys {
					got = append(got, k.ID)
				}
				if diff := cmp.Diff(ids, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", when, diff)
				}
				if len(d.Keys) == 2 && (d.Keys[0].Secret == d.Keys[1].Secret || d.Keys[1].Secret == [32]byte{}) {
					t.Errorf("%s: the secrets are the same, or none", when)
				}
				if read, err := m.Deployment(t.Context()); err != nil || cmp.Diff(d, read) != "" {
					t.Errorf("%s: read %v, %v", when, read, err)
				}
			}
			first := m.beat(t).Keys[0].ID
			second, old, err := m.RotateKey(t.Context(), false)
			if err != nil || old.ID != first || second.ID == first {
				t.Fatalf("%+v, %+v, %v", second, old, err)
			}
			about(t, "the new key seals", second.SealsAt, 30*time.Second)
			about(t, "the old key opens", old.OpensUntil, 30*time.Hour)
			want("at once", first, second.ID) // the new one opens already
			later(t, conn, 31*time.Second)
			want("half a minute later", second.ID, first)

			_, _, err = m.RotateKey(t.Context(), false)
			if e, ok := errors.AsType[*postgres.RotationError](err); !ok || e.Old.ID != first {
				t.Errorf("while a rotation is under way: %v", err)
			}
			want("after a rotation that was refused", second.ID, first)
			again, old, err := m.RotateKey(t.Context(), true)
			if err != nil || again.ID != second.ID || old.ID != first {
				t.Errorf("%+v, %+v, %v", again, old, err)
			}
			about(t, "the leaked key opens", old.OpensUntil, 3*time.Minute)
			want("for three minutes", second.ID, first)
			later(t, conn, 2*time.Minute)
			if _, soon, err := m.RotateKey(t.Context(), true); err != nil || soon.OpensUntil.After(old.OpensUntil) {
				t.Errorf("its life was prolonged from %v to %v, %v", old.OpensUntil, soon.OpensUntil, err)
			}
			later(t, conn, 2*time.Minute)
			if d, err := m.Deployment(t.Context()); err != nil || len(d.Keys) != 1 { // nobody has deleted it yet
				t.Errorf("a key that has expired is read: %v, %v", d.Keys, err)
			}
			want("in the end", second.ID)
			var left int
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM roomspa.master_keys").Scan(&left); err != nil || left != 1 {
				t.Errorf("%d rows are left, %v", left, err)
			}
			third, old, err := m.RotateKey(t.Context(), true)
			if err != nil || old.ID != second.ID {
				t.Errorf("the next rotation: %+v, %v", old, err)
			}
			about(t, "a key that leaked before its rotation opens", old.OpensUntil, 3*time.Minute)
			want("the next rotation", second.ID, third.ID)
		})
	}
}

// TestTwoRotateAtOnce finds one new key, and one refusal.
func TestTwoRotateAtOnce(t *testing.T) {
	t.Parallel()
	target := database(t)
	all := members(t, postgres.Options{URL: target}, 2)
	conn := direct(t, target)
	execute(t, conn, "BEGIN")
	execute(t, conn, "SELECT pg_advisory_xact_lock(hashtextextended('roomspa.rotation', 0))")
	all[0].beat(t) // needs no lock of a rotation
	errs := make(chan error, len(all))
	for _, m := range all {
		go func() {
			_, _, err := m.RotateKey(t.Context(), false)
			errs <- err
		}()
	}
	waitForLocks(t, target, len(all))
	execute(t, conn, "ROLLBACK")
	got := []error{<-errs, <-errs}
	if slices.Contains(got, nil) == (got[0] == nil && got[1] == nil) || len(all[0].beat(t).Keys) != 2 {
		t.Errorf("%v", got)
	}
}

// TestWithoutARowThereIsAnError instead of a deployment that nobody can use.
func TestWithoutARowThereIsAnError(t *testing.T) {
	t.Parallel()
	target := database(t)
	conn := direct(t, target)
	db := members(t, postgres.Options{URL: target}, 1)[0]
	for _, table := range []string{"master_keys", "deployment"} {
		execute(t, conn, "DELETE FROM roomspa."+table)
		if d, err := db.Deployment(t.Context()); postgres.Cause(err) != "other" {
			t.Errorf("%s: %v, %v", table, d, err)
		}
	}
}
