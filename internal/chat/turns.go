package chat

import (
	"sync"

	"github.com/roomspa/roomspa/internal/room"
)

const (
	// maxReading bounds the bytes of all pages that are read from the store at the same time.
	maxReading = 3 << 20
	// maxReadingPerUser is the number of pages that the sockets of one user read at the same
	// time.
	maxReadingPerUser = 4
)

// A reading is a read of the store that waits for its turn.
type reading struct {
	size int // bytes that it may return
	run  func()
}

// turns lets sockets read the store. A few read at the same time, and users take turns: one
// user with many sockets does not delay another one. Its methods are safe for concurrent use.
type turns struct {
	mu    sync.Mutex
	bytes int // of the reads that run
	users map[room.UserID]*userTurns
	next  []room.UserID // users with waiting reads, the one with the next turn first
}

type userTurns struct {
	waiting []reading
	running int
	queued  bool // in turns.next
}

// add runs r in a goroutine of its own when it is its turn. It does not block.
func (t *turns) add(user room.UserID, r reading) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.users[user]
	if u == nil {
		u = &userTurns{}
		if t.users == nil {
			t.users = map[room.UserID]*userTurns{}
		}
		t.users[user] = u
	}
	u.waiting = append(u.waiting, r)
	t.queue(user, u)
	t.start()
}

// queue lets the user wait for a turn, if a read of the user may start. Mu is held.
func (t *turns) queue(user room.UserID, u *userTurns) {
	if !u.queued && len(u.waiting) > 0 && u.running < maxReadingPerUser {
		u.queued = true
		t.next = append(t.next, user)
	}
}

// start starts the reads whose turn it is. A read that is larger than what is left waits, and
// so do those behind it: otherwise small ones would hold it up for ever. Mu is held.
func (t *turns) start() {
	for len(t.next) > 0 {
		user := t.next[0]
		u := t.users[user]
		r := u.waiting[0]
		if t.bytes > 0 && t.bytes+r.size > maxReading {
			return
		}
		u.waiting[0] = reading{}
		t.next, u.waiting = t.next[1:], u.waiting[1:]
		u.queued = false
		u.running++
		t.bytes += r.size
		t.queue(user, u)
		go t.run(user, u, r)
	}
}

func (t *turns) run(user room.UserID, u *userTurns, r reading) {
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.bytes -= r.size
		u.running--
		if t.queue(user, u); u.running == 0 && len(u.waiting) == 0 {
			delete(t.users, user)
		}
		t.start()
	}()
	r.run()
}
