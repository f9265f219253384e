package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// ErrBusy is the error of a password that was not looked at, since its turn did
// not come before its context ended, whose cause is wrapped beside it, since too
// many wait already, or since there is no memory for it.
var ErrBusy = errors.New("too many passwords are being verified")

// ErrUnreadableHash is the error of a stored password that is of no known form,
// or whose parameters are out of bounds. No password fits it.
var ErrUnreadableHash = errors.New("the stored password is unreadable")

// MaxPassword is the longest password, in bytes.
const MaxPassword = 4096

// Passwords verifies passwords, a few at once: each takes 64 MiB (up to 128 for a
// carried-over hash) and, for a tenth of a second or more, every core that it can
// get, unless [Passwords.Delegate] has processes do that. It is safe for concurrent
// use.
type Passwords struct {
	turns   chan struct{}
	queue   int64
	waiting atomic.Int64
	decoy   storedHash             // is verified where there is nothing to verify
	workers *workers               // nil for doing the work here
	has     func(bytes int64) bool // nil where there is always memory
}

// Memory is what a password takes while it is worked on, in bytes. One that was carried
// over may take twice as much, until its first sign-in.
const Memory = argon2Memory << 10

// Concurrency is how many passwords are worked on at once where nobody says it: one for
// every four processors, as long as they take no more than a quarter of limit (in bytes;
// 0 for none), and at least one.
func Concurrency(limit int64) int {
	n := runtime.GOMAXPROCS(0) / 4
	if limit > 0 {
		n = min(n, int(limit/4/Memory))
	}
	return max(1, n)
}

// NewPasswords verifies up to concurrency passwords at once; 0 means [Concurrency]
// without a limit. Up to 32 more may wait for their turn.
func NewPasswords(concurrency int) *Passwords { return QueuePasswords(concurrency, 32) }

// QueuePasswords is NewPasswords with room for queue that wait: whoever comes
// behind them is told at once, since their turn would come too late.
func QueuePasswords(concurrency, queue int) *Passwords {
	if concurrency <= 0 {
		concurrency = Concurrency(0)
	}
	return &Passwords{turns: make(chan struct{}, concurrency), queue: int64(queue), decoy: nothing}
}

// Waiting returns how many wait for their turn.
func (p *Passwords) Waiting() int { return int(p.waiting.Load()) }

// Full reports whether the next one would be refused: so many wait, or nobody is at work and
// there is no memory for one.
func (p *Passwords) Full() bool {
	n := len(p.turns)
	return n == cap(p.turns) && p.waiting.Load() >= p.queue || n == 0 && p.has != nil && !p.has(Memory)
}

// Verify reports whether password is the one that encoded was made from: an
// argon2id hash in PHC form, or a string of Django's. Where it is, upgrade says
// that encoded should be replaced by a new [Passwords.Hash].
//
// An unusable password ("!…" in Django's tables) and an empty one never fit; the
// same work is done for them. ctx bounds the wait for a turn, not the work: the
// error is then [ErrBusy], which says nothing about the password.
func (p *Passwords) Verify(ctx context.Context, encoded, password string) (ok, upgrade bool, err error) {
	stored, unreadable := parseHash(encoded)
	usable := unreadable == nil && password != "" && len(password) <= MaxPassword
	if !usable {
		stored = p.decoy
	}
	if err := p.take(ctx); err != nil {
		return false, false, err
	}
	defer p.release()
	work := encoded
	if !usable {
		work = nothing.String()
	}
	fits, err := p.fits(stored, work, password)
	if err != nil {
		return false, false, err
	}
	switch {
	case unreadable != nil && !unusable(encoded):
		return false, false, unreadable
	case !usable || !fits:
		return false, false, nil
	}
	return true, stored.outdated(), nil
}

// VerifyNothing does the work of a Verify that fails, for a user that does not
// exist: the time of an answer must not tell who has an account.
func (p *Passwords) VerifyNothing(ctx context.Context, password string) error {
	_, _, err := p.Verify(ctx, "", password)
	return err
}

// Hash is the function [Hash] in its turn.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	if err := p.take(ctx); err != nil {
		return "", err
	}
	defer p.release()
	if p.workers != nil && password != "" && len(password) <= MaxPassword {
		if hash, ok, err := p.workers.do(askHash, "", password); ok {
			if err == nil && hash == "" {
				err = errors.New("the process for passwords made no hash")
			}
			return hash, err
		}
	}
	return Hash(password)
}

func (p *Passwords) fits(stored storedHash, encoded, password string) (bool, error) {
	if p.workers != nil && len(password) <= MaxPassword {
		if answer, ok, err := p.workers.do(askVerify, encoded, password); ok {
			return answer == "y", err
		}
	}
	return stored.fits(password), nil
}

// Within lets no password begin while has says that there is no memory for it: that is
// [ErrBusy] too. Call it before the first password comes.
func (p *Passwords) Within(has func(bytes int64) bool) { p.has = has }

// memoryWait is how long a password whose turn has come waits for memory: what the one
// before has used is given back, and measured, a moment after its answer.
const memoryWait = time.Second

// take waits for a turn, and for the memory. What those at work have taken already is
// counted once more: they may just have begun.
func (p *Passwords) take(ctx context.Context) error {
	if err := p.turn(ctx); err != nil || p.has == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, memoryWait)
	defer cancel()
	tick := time.NewTicker(memoryWait / 20)
	defer tick.Stop()
	for !p.has(int64(len(p.turns)) * Memory) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.release()
			return fmt.Errorf("%w: there is no memory for one more", ErrBusy)
		}
	}
	return nil
}

func (p *Passwords) turn(ctx context.Context) error {
	if ctx.Err() == nil {
		select {
		case p.turns <- struct{}{}:
			return nil
		default:
		}
		defer p.waiting.Add(-1)
		if n := p.waiting.Add(1); n > p.queue {
			return fmt.Errorf("%w: %d wait already", ErrBusy, n-1)
		}
		select {
		case p.turns <- struct{}{}:
			return nil
		case <-ctx.Done():
		}
	}
	return fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
}

func (p *Passwords) release() { <-p.turns }

// A storedHash is a stored password that was taken apart.
type storedHash interface {
	fits(password string) bool // in constant time, but for the length of the password
	outdated() bool            // a new hash would be made otherwise
}

// maxEncoded bounds a stored string before it is taken apart, in bytes.
const maxEncoded = 512

func parseHash(encoded string) (storedHash, error) {
	if len(encoded) > maxEncoded {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrUnreadableHash, len(encoded))
	}
	scheme, rest, _ := strings.Cut(encoded, "$")
	switch scheme {
	case "":
		return parsed(parseArgon2(rest))
	case "argon2":
		return parsed(parseDjangoArgon2(rest))
	case "pbkdf2_sha256":
		return parsed(parsePBKDF2(rest))
	}
	return nil, fmt.Errorf("%w: it is of no known form", ErrUnreadableHash)
}

// parsed keeps a nil pointer from becoming a storedHash that is not nil.
func parsed[H storedHash](h H, err error) (storedHash, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadableHash, err)
	}
	return h, nil
}

// unusable reports whether a stored string says on purpose that no password fits.
func unusable(encoded string) bool { return encoded == "" || encoded[0] == '!' }

// CheckHash says why a stored password is unreadable, and returns nil where it is
// not: also where it says on purpose that no password fits.
func CheckHash(encoded string) error {
	if _, err := parseHash(encoded); err != nil && !unusable(encoded) {
		return err
	}
	return nil
}
