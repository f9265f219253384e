package auth_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
)

func TestRefreshTokensOfOneSignInAreAFamily(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, secretA)
	token, c, err := keys.Mint(auth.Refresh, 7, noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	first, err := keys.VerifyRefresh(token, noon)
	if err != nil {
		t.Fatal(err)
	}
	want := room.Refresh{Family: c.ID, ID: c.ID, User: 7, IssuedAt: noon, ExpiresAt: noon.Add(time.Hour)}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("the first (-want +got):\n%s", diff)
	}
	next := auth.NextRefresh(first, noon.Add(time.Minute+700*time.Millisecond), time.Hour)
	token, err = keys.MintRefresh(next)
	if err != nil {
		t.Fatal(err)
	}
	second, err := keys.VerifyRefresh(token, noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(next, second); diff != "" || second.Family != c.ID || second.ID == c.ID || !second.ExpiresAt.Equal(noon.Add(61*time.Minute)) {
		t.Errorf("the second, of family %s (-minted +verified):\n%s", second.Family, diff)
	}
	_, err = keys.Verify(token, noon.Add(time.Minute))
	refused(t, err, auth.TokenInvalid, "wrong_type")
	if again, err := keys.MintRefresh(next); err != nil || again != token {
		t.Errorf("what says the same is not the same: %v", err)
	}
}

func TestVerifyRefreshRefuses(t *testing.T) {
	t.Parallel()
	refresh := strings.Replace(good, "access", "refresh", 1)
	for name, tt := range map[string]struct{ token, reason, word string }{
		"an access token":                {signA(good), auth.TokenInvalid, "wrong_type"},
		"nothing":                        {"", auth.TokenInvalid, "malformed"},
		"garbage":                        {"a.b.c", auth.TokenInvalid, "malformed"},
		"another secret":                 {sign(sha256.New, secretC, hs256, refresh), auth.TokenInvalid, "bad_signature"},
		"an expired one":                 {signA(`{"token_type":"refresh","exp":1,"user_id":1,"jti":"a"}`), auth.TokenExpired, "expired"},
		"one without jti":                {signA(`{"token_type":"refresh","exp":1795435500,"user_id":1}`), auth.TokenInvalid, "bad_jti"},
		"a jti that cannot be kept":      {signA(`{"token_type":"refresh","exp":1795435500,"user_id":1,"jti":"a\u0000"}`), auth.TokenInvalid, "bad_jti"},
		"a jti that is long":             {signA(`{"token_type":"refresh","exp":1795435500,"user_id":1,"jti":"` + strings.Repeat("a", 65) + `"}`), auth.TokenInvalid, "bad_jti"},
		"a family that is a number":      {signA(`{"token_type":"refresh","exp":1795435500,"user_id":1,"jti":"a","family":5}`), auth.TokenInvalid, "bad_jti"},
		"a family that is empty":         {signA(`{"token_type":"refresh","exp":1795435500,"user_id":1,"jti":"a","family":""}`), auth.TokenInvalid, "bad_jti"},
		"one of Django, but another exp": {signA(strings.Replace(refresh, "1795435500", "1795435000", 1)), auth.TokenExpired, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newKeys(t, secretA).VerifyRefresh(tt.token, noon)
			refused(t, err, tt.reason, tt.word)
			if got != (room.Refresh{}) {
				t.Errorf("%+v beside the error", got)
			}
		})
	}
	got, err := newKeys(t, secretA).VerifyRefresh(signA(refresh), noon)
	if err != nil || got.ID != "0123456789abcdef0123456789abcdef" || got.Family != got.ID || got.User != 1 {
		t.Errorf("one of SimpleJWT: %+v, %v", got, err)
	}
}

func TestPseudonymsTellNothing(t *testing.T) {
	t.Parallel()
	a, b := newKeys(t, secretA), newKeys(t, secretB)
	one := a.Pseudonym("account", "ann@example.com")
	for name, other := range map[string]string{
		"another text":    a.Pseudonym("account", "bob@example.com"),
		"another purpose": a.Pseudonym("address", "ann@example.com"),
		"another secret":  b.Pseudonym("account", "ann@example.com"),
	} {
		if one == other {
			t.Errorf("%s has the same", name)
		}
	}
	if again := newKeys(t, secretA, secretB).Pseudonym("account", "ann@example.com"); one != again || len(one) != 32 {
		t.Errorf("%s and %s on two replicas", one, again)
	}
}

func TestPasswordsQueueIsBounded(t *testing.T) {
	t.Parallel()
	p := auth.NewPasswords(1, 2)
	hold, free := context.WithCancel(t.Context())
	defer free()
	var wg sync.WaitGroup
	const quick = "$argon2id$v=19$m=16384,t=4,p=1$c2FsdC1vZi0xNi1ieXRlcw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	verify := func() error {
		_, _, err := p.Verify(hold, auth.Client{}, quick, "x")
		return err
	}
	for range 3 { // one at work, two in the queue
		wg.Go(func() { _ = verify() })
	}
	for p.Waiting() < 2 {
		runtime.Gosched()
	}
	if err := verify(); !errors.Is(err, auth.ErrBusy) || !strings.Contains(err.Error(), "2 are waiting") {
		t.Errorf("behind a full queue: %v", err)
	}
	free()
	wg.Wait()
	if _, _, err := p.Verify(t.Context(), auth.Client{}, quick, "x"); err != nil || p.Waiting() != 0 {
		t.Errorf("afterwards: %v, %d wait", err, p.Waiting())
	}
}

func TestPasswordsKeepToTheMemoryThereIs(t *testing.T) {
	t.Parallel()
	p := auth.NewPasswords(2, 0)
	var free, asked atomic.Int64
	p.CheckMemory(func(bytes int64) bool {
		asked.Store(bytes)
		return bytes <= free.Load()
	})
	p.UseProcesses([]string{"sleep", "60"}, slog.New(slog.DiscardHandler)) // is at it for ever
	verify := func() error {
		_, _, err := p.Verify(t.Context(), auth.Client{}, "$argon2id$v=19$m=8,t=1,p=1$c2FsdC1vZi0xNi1ieXRlcw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x")
		return err
	}
	if !p.Busy(auth.Client{}) {
		t.Error("nobody is at work, there is no memory, and the next one would not be refused")
	}
	for range 2 { // no turn is lost by it
		if err := verify(); !errors.Is(err, auth.ErrBusy) || !strings.Contains(err.Error(), "memory") || asked.Load() != 64<<20 {
			t.Fatalf("without memory: %v, %d bytes", err, asked.Load())
		}
	}
	free.Store(2*auth.PasswordMemory - 1) // enough for one, and the other one's turn comes
	var working sync.WaitGroup
	defer working.Wait()
	defer p.Close()
	working.Go(func() { _ = verify() })
	for asked.Store(0); asked.Load() == 0; {
		runtime.Gosched()
	}
	if err := verify(); !errors.Is(err, auth.ErrBusy) || !strings.Contains(err.Error(), "memory") || asked.Load() != 128<<20 {
		t.Errorf("with memory for one: %v, %d bytes", err, asked.Load())
	}
}

// What one password has used is given back a moment after its answer, and the next one
// waits for that.
func TestAPasswordWaitsForTheMemoryOfTheOneBefore(t *testing.T) {
	t.Parallel()
	p := auth.NewPasswords(1, 0)
	var asked atomic.Int64
	p.CheckMemory(func(int64) bool { return asked.Add(1) > 2 })
	if _, _, err := p.Verify(t.Context(), auth.Client{}, "!", "x"); err != nil || asked.Load() != 3 {
		t.Errorf("after %d questions: %v", asked.Load(), err)
	}
}

func TestPasswordsAtOnceFitIntoTheMemory(t *testing.T) {
	before := runtime.GOMAXPROCS(64)
	defer runtime.GOMAXPROCS(before)
	for limit, want := range map[int64]int{0: 16, 1: 1, 512 << 20: 2, 1 << 30: 4, 1 << 40: 16} {
		if got := auth.DefaultConcurrency(limit); got != want {
			t.Errorf("%d at once in %d MiB, want %d", got, limit>>20, want)
		}
	}
	runtime.GOMAXPROCS(1)
	if got := auth.DefaultConcurrency(1 << 40); got != 1 {
		t.Errorf("%d at once on one processor", got)
	}
}
