package auth

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const battery = "correct horse battery staple"

// Made with Django 3.2.25: PBKDF2PasswordHasher and Argon2PasswordHasher, and for
// argon2i argon2-cffi with the parameters of Django before 3.2.
const (
	djangoPBKDF2    = "pbkdf2_sha256$260000$seasalt1seasalt2seasal$cjlphvXjX+MlYiLsGV8keVqkD7a9yn1FwfFdpVtt5QE="
	djangoUnicode   = "pbkdf2_sha256$1000$NaCl4you$3qhtkgk/6wwDxAy2lA3xdsUQBu7Y3WNu/HI3uNBwjxQ="
	djangoArgon2    = "argon2$argon2id$v=19$m=102400,t=2,p=8$c2Vhc2FsdDFzZWFzYWx0MnNlYXNhbA$L3h32xyNfMH/G02PO6fHdw"
	djangoArgon2Low = "argon2$argon2id$v=19$m=512,t=2,p=2$Uk9FNG9maWFBUEJyVXc1c25RUzdsbg$DZtor66P8WXjTb9Ku47CNA"
	djangoArgon2i   = "argon2$argon2i$v=19$m=512,t=2,p=2$xbykQE2Fq6c2GB9sD1YVJw$ebZnRaaWS66egXmIM/Bc0g"
	djangoUnusable  = "!zLG4fnMEovCQHbTNJTy1XXvpfvENs5SRSSoOF325"
)

// cheap does little work where there is nothing to verify.
func cheap(concurrency int) *Passwords {
	p := NewPasswords(concurrency, 32)
	p.decoy = &argon2Hash{variant: "argon2id", memory: 64, passes: 1, lanes: 1, salt: make([]byte, 16), tag: make([]byte, 32)}
	return p
}

func TestVerifyPasswords(t *testing.T) {
	t.Parallel()
	own, err := Hash(battery)
	if err != nil {
		t.Fatal(err)
	}
	type answer struct{ OK, Upgrade bool }
	for _, tt := range []struct {
		name, encoded, password string
		want                    answer
	}{
		{"a new hash fits and stays", own, battery, answer{true, false}},
		{"a new hash refuses another password", own, "Correct horse battery staple", answer{}},
		{"a new hash refuses the empty password", own, "", answer{}},
		{"a new hash refuses a password that is too long", own, strings.Repeat("a", MaxPassword+1), answer{}},
		{"Django's PBKDF2 fits and is upgraded", djangoPBKDF2, battery, answer{true, true}},
		{"Django's PBKDF2 refuses another password", djangoPBKDF2, battery + " ", answer{}},
		{"Django's PBKDF2 of a password beyond ASCII", djangoUnicode, "lètmein✓", answer{true, true}},
		{"Django's Argon2 fits and is upgraded", djangoArgon2, battery, answer{true, true}},
		{"Django's Argon2 refuses another password", djangoArgon2Low, "x", answer{}},
		{"Django's Argon2 of other parameters", djangoArgon2Low, battery, answer{true, true}},
		{"argon2i, as Django before 3.2 made it", djangoArgon2i, battery, answer{true, true}},
		{"an argon2id of ours with other parameters is upgraded", strings.TrimPrefix(djangoArgon2Low, "argon2"), battery, answer{true, true}},
		{"an unusable password never fits", djangoUnusable, battery, answer{}},
		{"an unusable password does not fit itself", djangoUnusable, djangoUnusable, answer{}},
		{"a lone exclamation mark", "!", "", answer{}},
		{"no stored password", "", battery, answer{}},
		{"nothing fits nothing", "", "", answer{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ok, upgrade, err := cheap(0).Verify(t.Context(), Client{}, tt.encoded, tt.password)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, answer{ok, upgrade}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStoredPasswordsThatAreRefusedUnread(t *testing.T) {
	t.Parallel()
	const salt, tag = "$c2Vhc2FsdDFzZWFzYWx0MnNlYXNhbA", "$L3h32xyNfMH/G02PO6fHdw"
	pbkdf2 := func(iterations string) string { return strings.Replace(djangoPBKDF2, "260000", iterations, 1) }
	for _, tt := range []struct{ name, encoded string }{
		{"plain text", battery},
		{"a form that is not carried over", "md5$salt$0123456789abcdef"},
		{"bcrypt", "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW"},
		{"a long string", "pbkdf2_sha256$1$" + strings.Repeat("a", 1000) + "$x"},
		{"argon2d", "$argon2d$v=19$m=512,t=2,p=2" + salt + tag},
		{"another version of argon2", "$argon2id$v=16$m=512,t=2,p=2" + salt + tag},
		{"argon2 without a version", "$argon2id$m=512,t=2,p=2" + salt + tag},
		{"more than 128 MiB", "$argon2id$v=19$m=131073,t=1,p=1" + salt + tag},
		{"memory beyond every integer", "$argon2id$v=19$m=99999999999999999999,t=1,p=1" + salt + tag},
		{"too many passes", "$argon2id$v=19$m=512,t=17,p=1" + salt + tag},
		{"too many passes for so much memory", "$argon2id$v=19$m=131072,t=5,p=1" + salt + tag},
		{"no pass", "$argon2id$v=19$m=512,t=0,p=1" + salt + tag},
		{"no lane", "$argon2id$v=19$m=512,t=1,p=0" + salt + tag},
		{"257 lanes, which a byte would turn into one", "$argon2id$v=19$m=65536,t=1,p=257" + salt + tag},
		{"less memory than the lanes need", "$argon2id$v=19$m=15,t=1,p=2" + salt + tag},
		{"a number with a sign", "$argon2id$v=19$m=+512,t=1,p=1" + salt + tag},
		{"parameters in another order", "$argon2id$v=19$t=1,m=512,p=1" + salt + tag},
		{"a parameter too many", "$argon2id$v=19$m=512,t=1,p=1,keyid=AA" + salt + tag},
		{"a short salt", "$argon2id$v=19$m=512,t=1,p=1$c2Vh" + tag},
		{"a short hash", "$argon2id$v=19$m=512,t=1,p=1" + salt + "$L3h3"},
		{"an empty hash", "$argon2id$v=19$m=512,t=1,p=1" + salt + "$"},
		{"a hash that is not base64", "$argon2id$v=19$m=512,t=1,p=1" + salt + "$" + strings.Repeat("?", 22)},
		{"PBKDF2 without iterations", pbkdf2("")},
		{"PBKDF2 with 0 iterations", pbkdf2("0")},
		{"PBKDF2 with negative iterations", pbkdf2("-1")},
		{"PBKDF2 with too many iterations", pbkdf2("4000001")},
		{"PBKDF2 without salt", strings.Replace(djangoPBKDF2, "seasalt1seasalt2seasal", "", 1)},
		{"PBKDF2 with a short hash", "pbkdf2_sha256$1000$NaCl4you$3qhtkgk="},
		{"PBKDF2 without a hash", "pbkdf2_sha256$1000$NaCl4you"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			stored, err := parseHash(tt.encoded)
			if !errors.Is(err, ErrUnreadableHash) || stored != nil {
				t.Fatalf("%v, error %v", stored, err)
			}
			if len(tt.encoded) > 8 && strings.Contains(err.Error(), tt.encoded[len(tt.encoded)-8:]) {
				t.Errorf("the error %q holds what is stored", err)
			}
		})
	}
}

func TestAnUnreadableHashIsAnErrorAndNeverFits(t *testing.T) {
	t.Parallel()
	ok, _, err := cheap(1).Verify(t.Context(), Client{}, "plain text", "plain text")
	if ok || !errors.Is(err, ErrUnreadableHash) {
		t.Errorf("ok %v, error %v", ok, err)
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	first, err := Hash(battery)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Hash(battery)
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Error("two hashes have one salt")
	}
	if !strings.HasPrefix(first, "$argon2id$v=19$m=65536,t=3,p=4$") {
		t.Errorf("hash %s", first)
	}
	stored, err := parseArgon2(first[1:])
	if err != nil || stored.String() != first {
		t.Errorf("%s reads as %v, error %v", first, stored, err)
	}
	// The work for nobody is that of a new hash.
	if NewPasswords(0, 32).decoy != dummyHash || len(stored.salt) != len(dummyHash.salt) || len(stored.tag) != len(dummyHash.tag) || dummyHash.needsRehash() {
		t.Error("nothing has other parameters than a new hash")
	}
	for _, password := range []string{"", strings.Repeat("a", MaxPassword+1)} {
		if got, err := Hash(password); err == nil {
			t.Errorf("a password of %d bytes was hashed: %s", len(password), got)
		}
	}
}

func TestPasswordsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	p := cheap(1)
	if err := p.acquire(t.Context(), Client{}); err != nil {
		t.Fatal(err)
	}
	why := errors.New("the client left")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error, 3)
	go func() {
		_, _, err := p.Verify(ctx, Client{}, djangoArgon2Low, battery)
		failed <- err
	}()
	go func() { failed <- p.VerifyUnknown(ctx, Client{}, battery) }()
	go func() {
		_, err := p.Hash(ctx, battery)
		failed <- err
	}()
	cancel(why)
	for range cap(failed) {
		if err := <-failed; !errors.Is(err, ErrBusy) || !errors.Is(err, why) || errors.Is(err, ErrUnreadableHash) {
			t.Errorf("error %v", err)
		}
	}
	p.release()
	office := Client{Network: "office"}
	if ok, _, err := p.Verify(t.Context(), office, djangoArgon2Low, battery); !ok || err != nil {
		t.Errorf("after the turn was given back: %v, error %v", ok, err)
	}
	if n := p.queue.tally.count(office); n != 0 {
		t.Errorf("a right password counts %v", n)
	}
	if ok, _, err := p.Verify(t.Context(), office, djangoArgon2Low, "wrong"); ok || err != nil || p.queue.tally.count(office) != 1 {
		t.Errorf("a wrong one counts %v: %v, error %v", p.queue.tally.count(office), ok, err)
	}
	if _, _, err := p.Verify(ctx, Client{}, djangoArgon2Low, battery); !errors.Is(err, ErrBusy) {
		t.Errorf("a context that has ended takes a turn: error %v", err)
	}
	if err := p.VerifyUnknown(t.Context(), Client{}, battery); err != nil {
		t.Error(err)
	}
	if running, _ := p.queue.sizes(); running != 0 {
		t.Error("a turn was not given back")
	}
}

func FuzzPasswordStrings(f *testing.F) {
	own, err := Hash(battery)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{own, djangoPBKDF2, djangoUnicode, djangoArgon2, djangoArgon2Low, djangoArgon2i, djangoUnusable, "", "$", "argon2$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		stored, err := parseHash(encoded)
		if err != nil {
			if stored != nil || !errors.Is(err, ErrUnreadableHash) {
				t.Fatalf("%v, error %v", stored, err)
			}
			return
		}
		switch h := stored.(type) { // what can be read can be afforded
		case *argon2Hash:
			if h.memory < 8*h.lanes || h.memory*h.passes > maxArgon2Work || h.lanes < 1 || h.lanes > 16 || h.passes < 1 ||
				len(h.tag) < 16 || len(h.tag) > 64 || len(h.salt) < 8 || len(h.salt) > 64 {
				t.Fatalf("%+v", h)
			}
		case *pbkdf2Hash:
			if h.iterations < 1 || h.iterations > maxIterations || len(h.hash) != 32 || len(h.salt) > 128 {
				t.Fatalf("%+v", h)
			}
		}
		if isUnusable(encoded) {
			t.Fatal("an unusable password was read")
		}
	})
}

func BenchmarkPasswords(b *testing.B) {
	p := NewPasswords(0, 32)
	for name, encoded := range map[string]string{"argon2id of ours": dummyHash.String(), "PBKDF2 of Django": djangoPBKDF2, "argon2id of Django": djangoArgon2} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _, _ = p.Verify(b.Context(), Client{}, encoded, battery)
			}
		})
	}
}
