package postgres_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

const grace = time.Hour

// refreshToken is the n-th refresh token of a family that begins with "a0".
func refreshToken(n int) room.Refresh {
	at := time.Now().UTC().Truncate(time.Second)
	return room.Refresh{Family: "a0", ID: fmt.Sprintf("a%d", n), User: 7, IssuedAt: at, ExpiresAt: at.Add(2 * time.Hour)}
}

func rotate(t testing.TB, db *postgres.DB, used, next room.Refresh) room.Rotation {
	t.Helper()
	r, err := db.RotateRefresh(t.Context(), used, next, grace)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARefreshTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	for n := range 3 { // the first one is not known before
		next := refreshToken(n + 1)
		if diff := cmp.Diff(room.Rotation{Refresh: next}, rotate(t, db, refreshToken(n), next)); diff != "" {
			t.Fatalf("token %d (-want +got):\n%s", n, diff)
		}
	}
	if got := rotate(t, db, refreshToken(2), refreshToken(9)); got.ID != "a3" || !got.Repeated || got.Revoked {
		t.Errorf("a client that has lost the answer gets %+v, want the same successor", got)
	}
	other := room.Refresh{Family: "b0", ID: "b0", User: 7, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	if got := rotate(t, db, other, refreshToken(20)); got.Revoked {
		t.Errorf("another family: %+v", got)
	}
	if got := rotate(t, db, refreshToken(1), refreshToken(9)); !got.Reused || !got.Revoked {
		t.Errorf("an old token gets %+v, want the end of its family", got)
	}
	for n := range 5 {
		if got := rotate(t, db, refreshToken(n), refreshToken(9)); got.Reused || !got.Revoked {
			t.Errorf("token %d of a family that has ended gets %+v", n, got)
		}
	}
	other.ID, other.Family = "a20", "b0"
	if got := rotate(t, db, other, refreshToken(21)); got.Revoked {
		t.Errorf("the other family: %+v", got)
	}
}

// A client that has lost the answer may come back at any time, until the successor was used.
func TestAnAnswerThatWasLostSignsNobodyOut(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	rotate(t, db, refreshToken(0), refreshToken(1))
	rotate(t, db, refreshToken(1), refreshToken(2))
	execute(t, direct(t, url), "UPDATE roomspa.refresh_families SET issued_at = issued_at - interval '1 hour 1 second'")
	if got := rotate(t, db, refreshToken(1), refreshToken(3)); got.ID != "a3" || got.Repeated || got.Revoked {
		t.Errorf("after the grace: %+v", got)
	}
	if got := rotate(t, db, refreshToken(1), refreshToken(4)); got.ID != "a3" || !got.Repeated {
		t.Errorf("again: %+v", got)
	}
	if got := rotate(t, db, refreshToken(3), refreshToken(5)); got.ID != "a5" || got.Revoked {
		t.Errorf("the new successor: %+v", got)
	}
	if got := rotate(t, db, refreshToken(1), refreshToken(6)); !got.Reused {
		t.Errorf("after its successor was used: %+v", got)
	}
}

// If somebody else has the token too, one of the two comes with a successor that was replaced.
func TestASuccessorThatWasReplacedEndsTheFamily(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	rotate(t, db, refreshToken(0), refreshToken(1))
	execute(t, direct(t, url), "UPDATE roomspa.refresh_families SET issued_at = issued_at - interval '1 hour 1 second'")
	rotate(t, db, refreshToken(0), refreshToken(2))
	if got := rotate(t, db, refreshToken(1), refreshToken(3)); !got.Reused {
		t.Errorf("got %+v", got)
	}
}

func TestAFamilyThatIsNotKnownBeginsWithItsFirstToken(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: database(t)})
	if got := rotate(t, db, refreshToken(3), refreshToken(4)); !got.Revoked {
		t.Errorf("a later token of it: %+v", got)
	}
}

func TestOfTwoThatRefreshAtOnceBothGetTheSame(t *testing.T) {
	t.Parallel()
	url := database(t)
	replicas := []*postgres.DB{open(t, postgres.Options{URL: url}), open(t, postgres.Options{URL: url})}
	for round := range 10 {
		used := refreshToken(round)
		if round > 0 {
			used.ID = "round"
		}
		var got [8]room.Rotation
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				next := refreshToken(0)
				next.ID = fmt.Sprintf("r%d-%d", round, i)
				got[i] = rotate(t, replicas[i%2], used, next)
			})
		}
		wg.Wait()
		fresh := 0
		for _, r := range got {
			if r.Revoked || r.ID != got[0].ID {
				t.Fatalf("round %d: %+v", round, got)
			}
			if !r.Repeated {
				fresh++
			}
		}
		if fresh != 1 {
			t.Fatalf("round %d: %d of them rotated", round, fresh)
		}
		execute(t, direct(t, url), "UPDATE roomspa.refresh_families SET current = 'round'")
	}
}

func TestRevokeRefresh(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	revoke := func(r room.Refresh, want bool) {
		t.Helper()
		if good, err := db.RevokeRefresh(t.Context(), r); err != nil || good != want {
			t.Errorf("%s: good %v, %v", r.ID, good, err)
		}
	}
	revoke(refreshToken(0), true) // never used
	revoke(refreshToken(0), false)
	if got := rotate(t, db, refreshToken(0), refreshToken(1)); !got.Revoked || got.Reused {
		t.Errorf("after a sign-out: %+v", got)
	}
	other := refreshToken(0)
	other.Family, other.ID = "b0", "b0"
	next := refreshToken(1)
	rotate(t, db, other, next)
	revoke(other, false) // replaced
	other.ID = next.ID
	revoke(other, false) // and with it the family
}

func TestExpiredFamiliesAreForgottenInBatches(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	for i := range 7 {
		r := room.Refresh{Family: fmt.Sprint(i), ID: fmt.Sprint(i), User: 7, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
		if i < 5 {
			r.ExpiresAt = time.Now().Add(-time.Hour)
		}
		if _, err := db.RevokeRefresh(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int64{3, 2, 0} {
		if n, err := db.DeleteExpiredRefreshes(t.Context(), 3); err != nil || n != want {
			t.Errorf("%d, %v; want %d", n, err, want)
		}
	}
}

// A token that another issuer has put on its blacklist is a family of one revoked token.
func TestATokenOfTheBlacklistIsRefused(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	used := room.Refresh{Family: "a0", ID: "a0", User: 7, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	execute(t, direct(t, url), `INSERT INTO roomspa.refresh_families (family, user_id, current, issued_at, expires_at, revoked_at)
		VALUES ('a0', 7, 'a0', $1, $2, $1)`, used.IssuedAt, used.ExpiresAt)
	if got := rotate(t, db, used, refreshToken(1)); !got.Revoked || got.Reused {
		t.Errorf("got %+v", got)
	}
	if valid, err := db.RevokeRefresh(t.Context(), used); err != nil || valid {
		t.Errorf("it was valid before its sign-out: %v, %v", valid, err)
	}
}
