package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
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
	queue      *queue
	decoy      *argon2Hash // verified if there is no usable hash
	pace       pace
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
// places more wait for their turn; any beyond them get [ErrBusy]. A concurrency of 0 means
// [DefaultConcurrency] without a memory limit.
func NewPasswords(concurrency, places int) *Passwords {
	if concurrency <= 0 {
		concurrency = DefaultConcurrency(0)
	}
	return &Passwords{queue: newQueue(concurrency, places), decoy: dummyHash, pace: pace{standard: dummyHash.cost()}}
}

// Waiting returns the number of passwords that wait for their turn.
func (p *Passwords) Waiting() int {
	_, waiting := p.queue.sizes()
	return waiting
}

// Busy reports whether the next password of c would get [ErrBusy] at once: there is no place for
// it in the queue, or none is being worked on and there is not enough memory for one. The caller
// must then refuse it.
func (p *Passwords) Busy(c Client) bool {
	running, _ := p.queue.sizes()
	return p.queue.refuses(c) || running == 0 && p.memoryFree != nil && !p.memoryFree(PasswordMemory)
}

// Verify reports whether password matches encoded, which is an argon2id hash in PHC form or
// one of Django's forms. rehash is true if it matches and encoded should be replaced by a new
// [Passwords.Hash].
//
// An unusable password ("!…" in Django's tables) and an empty one never match. All
// verifications take the same time from their turn on: those of cheaper hashes are followed by
// the rest of the work, and then wait, without a turn, for as long as the slowest hash in use
// takes. ctx bounds the wait for a turn only. The error is [ErrBusy] or [ErrUnreadableHash].
func (p *Passwords) Verify(ctx context.Context, c Client, encoded, password string) (ok, rehash bool, err error) {
	stored, unreadable := parseHash(encoded)
	usable := unreadable == nil && password != "" && len(password) <= MaxPassword
	if !usable {
		stored = p.decoy
	}
	matched, left, err := p.verifyInTurn(ctx, c, stored, password)
	if err != nil {
		return false, false, err
	}
	if usable && matched {
		p.queue.forgive(c)
	}
	<-time.After(left)
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
func (p *Passwords) VerifyUnknown(ctx context.Context, c Client, password string) error {
	_, _, err := p.Verify(ctx, c, "", password)
	return err
}

// verifyInTurn waits for a turn and does the work of a verification: at least that of a new
// hash. left is the time until the result may be known.
func (p *Passwords) verifyInTurn(ctx context.Context, c Client, stored storedHash, password string) (matched bool, left time.Duration, err error) {
	if err := p.acquire(ctx, c); err != nil {
		return false, 0, err
	}
	defer p.release()
	began := time.Now()
	matched, err = p.matches(stored, password)
	if rest := restOf(stored, p.decoy); rest != nil && err == nil {
		_, err = p.matches(rest, password)
	}
	if err != nil {
		return false, 0, err
	}
	now := time.Now()
	return matched, p.pace.add(now, stored.cost(), now.Sub(began)), nil
}

// Hash returns an argon2id hash of a password like the function [Hash], after waiting for a
// turn as a known client, because its caller has verified another password. The error is
// [ErrBusy] if none came before ctx ended.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	c := Client{Known: true}
	if err := p.acquire(ctx, c); err != nil {
		return "", err
	}
	defer p.release()
	p.queue.forgive(c)
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

func (p *Passwords) matches(stored storedHash, password string) (bool, error) {
	if p.workers != nil && len(password) <= MaxPassword {
		if answer, ok, err := p.workers.request(opVerify, stored.String(), password); ok {
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
func (p *Passwords) acquire(ctx context.Context, c Client) error {
	if err := p.queue.acquire(ctx, c); err != nil || p.memoryFree == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, memoryWait)
	defer cancel()
	tick := time.NewTicker(memoryWait / 20)
	defer tick.Stop()
	for {
		running, _ := p.queue.sizes()
		if p.memoryFree(int64(running) * PasswordMemory) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.queue.forgive(c)
			p.release()
			return fmt.Errorf("%w: not enough memory for one more", ErrBusy)
		}
	}
}

func (p *Passwords) release() { p.queue.release() }

// A storedHash is a parsed password hash.
type storedHash interface {
	fmt.Stringer                  // the form that parseHash reads
	matches(password string) bool // takes the same time for all passwords of a length
	needsRehash() bool            // its parameters differ from those of new hashes
	cost() int                    // of the work of matches, in KiB that argon2 fills
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
