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

// ErrBusy means that a password was not verified or hashed: the queue is full, the context
// ended before its turn came, or there is not enough memory.
var ErrBusy = errors.New("too many passwords are being verified")

// ErrUnreadableHash means that a stored hash has an unknown form or parameters out of bounds.
// No password matches it.
var ErrUnreadableHash = errors.New("stored password hash is unreadable")

// MaxPassword is the maximum length of a password in bytes.
const MaxPassword = 4096

// Passwords verifies and hashes passwords, a bounded number at a time. Each one takes 64 MiB
// (up to 128 MiB for a hash that was imported) and 100 ms or more of CPU time, in this process
// or in those that [Passwords.UseProcesses] starts. Passwords is safe for concurrent use.
type Passwords struct {
	turns      chan struct{}
	queue      int64
	waiting    atomic.Int64
	decoy      storedHash             // verified if there is no usable hash
	workers    *workers               // nil means that this process does the work
	memoryFree func(bytes int64) bool // nil means that memory is not checked
}

// PasswordMemory is the memory that verifying or hashing one password takes, in bytes. An
// imported hash can take twice as much until its user signs in.
const PasswordMemory = argon2Memory << 10

// DefaultConcurrency returns the default number of passwords to work on at a time: one for
// every four processors, but not more than fit into a quarter of memoryLimit (in bytes; 0
// means no limit), and at least one.
func DefaultConcurrency(memoryLimit int64) int {
	n := runtime.GOMAXPROCS(0) / 4
	if memoryLimit > 0 {
		n = min(n, int(memoryLimit/4/PasswordMemory))
	}
	return max(1, n)
}

// NewPasswords returns Passwords that work on up to concurrency passwords at a time. Up to
// queue more wait for their turn; any beyond them get [ErrBusy] at once. A concurrency of 0
// means [DefaultConcurrency] without a memory limit.
func NewPasswords(concurrency, queue int) *Passwords {
	if concurrency <= 0 {
		concurrency = DefaultConcurrency(0)
	}
	return &Passwords{turns: make(chan struct{}, concurrency), queue: int64(queue), decoy: dummyHash}
}

// Waiting returns the number of passwords that wait for their turn.
func (p *Passwords) Waiting() int { return int(p.waiting.Load()) }

// Busy reports whether the next password would get [ErrBusy]: the queue is full, or none is
// being worked on and there is not enough memory for one.
func (p *Passwords) Busy() bool {
	n := len(p.turns)
	return n == cap(p.turns) && p.waiting.Load() >= p.queue || n == 0 && p.memoryFree != nil && !p.memoryFree(PasswordMemory)
}

// Verify reports whether password matches encoded, which is an argon2id hash in PHC form or
// one of Django's forms. rehash is true if it matches and encoded should be replaced by a new
// [Passwords.Hash].
//
// An unusable password ("!…" in Django's tables) and an empty one never match, but take the
// same time. ctx bounds the wait for a turn, not the work. The error is [ErrBusy] or
// [ErrUnreadableHash].
func (p *Passwords) Verify(ctx context.Context, encoded, password string) (ok, rehash bool, err error) {
	stored, unreadable := parseHash(encoded)
	usable := unreadable == nil && password != "" && len(password) <= MaxPassword
	if !usable {
		stored = p.decoy
	}
	if err := p.acquire(ctx); err != nil {
		return false, false, err
	}
	defer p.release()
	work := encoded
	if !usable {
		work = dummyHash.String()
	}
	matched, err := p.matches(stored, work, password)
	if err != nil {
		return false, false, err
	}
	switch {
	case unreadable != nil && !isUnusable(encoded):
		return false, false, unreadable
	case !usable || !matched:
		return false, false, nil
	}
	return true, stored.needsRehash(), nil
}

// VerifyUnknown takes the time of a [Passwords.Verify] that fails. It is called for users that
// do not exist, so that the response time does not reveal who has an account.
func (p *Passwords) VerifyUnknown(ctx context.Context, password string) error {
	_, _, err := p.Verify(ctx, "", password)
	return err
}

// Hash returns an argon2id hash of a password like the function [Hash], after waiting for a
// turn. The error is [ErrBusy] if none came before ctx ended.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	if err := p.acquire(ctx); err != nil {
		return "", err
	}
	defer p.release()
	if p.workers != nil && password != "" && len(password) <= MaxPassword {
		if hash, ok, err := p.workers.request(opHash, "", password); ok {
			if err == nil && hash == "" {
				err = errors.New("the password process returned no hash")
			}
			return hash, err
		}
	}
	return Hash(password)
}

func (p *Passwords) matches(stored storedHash, encoded, password string) (bool, error) {
	if p.workers != nil && len(password) <= MaxPassword {
		if answer, ok, err := p.workers.request(opVerify, encoded, password); ok {
			return answer == "y", err
		}
	}
	return stored.matches(password), nil
}

// CheckMemory makes passwords wait, and then fail with [ErrBusy], while free reports that there
// is not enough memory. It must be called before the first password.
func (p *Passwords) CheckMemory(free func(bytes int64) bool) { p.memoryFree = free }

// memoryWait is the time for which a password waits for memory after its turn has come. The
// memory of the one before is returned, and measured, shortly after its result.
const memoryWait = time.Second

// acquire waits for a turn and for enough memory. It asks for the memory of all running
// passwords again, because they may not have allocated theirs yet.
func (p *Passwords) acquire(ctx context.Context) error {
	if err := p.acquireTurn(ctx); err != nil || p.memoryFree == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, memoryWait)
	defer cancel()
	tick := time.NewTicker(memoryWait / 20)
	defer tick.Stop()
	for !p.memoryFree(int64(len(p.turns)) * PasswordMemory) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.release()
			return fmt.Errorf("%w: not enough memory for one more", ErrBusy)
		}
	}
	return nil
}

func (p *Passwords) acquireTurn(ctx context.Context) error {
	if ctx.Err() == nil {
		select {
		case p.turns <- struct{}{}:
			return nil
		default:
		}
		defer p.waiting.Add(-1)
		if n := p.waiting.Add(1); n > p.queue {
			return fmt.Errorf("%w: %d are waiting", ErrBusy, n-1)
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

// A storedHash is a parsed password hash.
type storedHash interface {
	matches(password string) bool // takes the same time for all passwords of a length
	needsRehash() bool            // its parameters differ from those of new hashes
}

// maxEncoded is the maximum length of a stored hash in bytes.
const maxEncoded = 512

func parseHash(encoded string) (storedHash, error) {
	if len(encoded) > maxEncoded {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrUnreadableHash, len(encoded))
	}
	scheme, rest, _ := strings.Cut(encoded, "$")
	switch scheme {
	case "":
		return asStoredHash(parseArgon2(rest))
	case "argon2":
		return asStoredHash(parseDjangoArgon2(rest))
	case "pbkdf2_sha256":
		return asStoredHash(parsePBKDF2(rest))
	}
	return nil, fmt.Errorf("%w: unknown form", ErrUnreadableHash)
}

// asStoredHash prevents a nil pointer from becoming a storedHash that is not nil.
func asStoredHash[H storedHash](h H, err error) (storedHash, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadableHash, err)
	}
	return h, nil
}

// isUnusable reports whether a stored hash is one that no password can match on purpose.
func isUnusable(encoded string) bool { return encoded == "" || encoded[0] == '!' }

// CheckHash returns an error that wraps [ErrUnreadableHash] if a stored hash cannot be used. A
// hash that no password can match on purpose is valid.
func CheckHash(encoded string) error {
	if _, err := parseHash(encoded); err != nil && !isUnusable(encoded) {
		return err
	}
	return nil
}
