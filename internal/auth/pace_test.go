package auth

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// kinds are the stored hashes that a sign-in can meet, all cheaper than a new one or equal.
var kinds = map[string]string{
	"new":               dummyHash.String(),
	"carried over":      djangoPBKDF2,
	"argon2 of Django":  djangoArgon2Low,
	"unusable":          djangoUnusable,
	"unknown":           "",
	"unreadable":        "md5$x",
	"few iterations":    djangoUnicode,
	"argon2i of Django": djangoArgon2i,
}

func TestVerificationsDoTheSameWorkWhateverIsStored(t *testing.T) {
	t.Parallel()
	for name, encoded := range kinds {
		stored, err := parseHash(encoded)
		if err != nil {
			stored = dummyHash
		}
		work := stored.cost()
		if rest := restOf(stored, dummyHash); rest != nil {
			again, err := parseHash(rest.String()) // as a process does
			if err != nil {
				t.Fatal(err)
			}
			work += again.cost()
		}
		if lacks := dummyHash.cost() - work; lacks < 0 || lacks > 8*argon2Lanes*argon2Passes {
			t.Errorf("%s: the work of %d KiB, want %d", name, work, dummyHash.cost())
		}
	}
	if rest := restOf(&pbkdf2Hash{iterations: maxIterations}, dummyHash); rest != nil {
		t.Errorf("a costly hash is followed by %s", rest)
	}
}

// In the bubble work takes no time, so what takes time is the pace.
func TestVerificationsTakeTheSameTimeWhateverIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := cheap(1)
		p.pace.standard = dummyHash.cost()
		p.pace.add(time.Now(), dummyHash.cost(), 300*time.Millisecond)
		for name, encoded := range kinds {
			if strings.HasPrefix(encoded, "$argon2id") {
				continue // real work
			}
			began := time.Now()
			ok, _, err := p.Verify(t.Context(), Client{}, encoded, "wrong")
			if ok || err != nil && !errors.Is(err, ErrUnreadableHash) {
				t.Errorf("%s: %v, %v", name, ok, err)
			}
			if took := time.Since(began); took != 300*time.Millisecond {
				t.Errorf("%s takes %v", name, took)
			}
		}
	})
}

func TestWaitingForThePaceTakesNoTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := cheap(1)
		p.pace.add(time.Now(), p.pace.standard, time.Second)
		began, done := time.Now(), make(chan time.Duration)
		for range 5 {
			go func() {
				_ = p.VerifyUnknown(t.Context(), Client{}, battery)
				done <- time.Since(began)
			}()
		}
		for range 5 {
			if took := <-done; took != time.Second {
				t.Errorf("one of five at once takes %v", took)
			}
		}
	})
}

func TestThePaceFollowsTheSlowestHashInUse(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	start := time.Now()
	p := pace{standard: 100}
	for i, tt := range []struct {
		at         time.Duration
		cost       int
		took, left time.Duration
	}{
		{0, 100, 200 * ms, 0},
		{0, 100, 150 * ms, 50 * ms},
		{0, 10, 150 * ms, 50 * ms}, // the rest of the work included
		{0, 300, 600 * ms, 0},      // a costly hash: from now on all take as long
		{0, 100, 200 * ms, 400 * ms},
		{0, 100, 300 * ms, 600 * ms}, // the replica is busy, for all of them
		{0, 300, 600 * ms, 300 * ms},
		{0, 100, 3 * time.Second, 0},
		{0, 100, 200 * ms, maxPace - 200*ms},
		{paceWindow, 100, 200 * ms, maxPace - 200*ms},
		{2 * paceWindow, 100, 200 * ms, 400 * ms}, // that was a while ago
		{time.Hour, 100, 200 * ms, 400 * ms},      // but the costly hash is still stored
	} {
		if left := p.add(start.Add(tt.at), tt.cost, tt.took); left.Round(ms) != tt.left {
			t.Errorf("verification %d: %v left, want %v", i+1, left, tt.left)
		}
	}
}
