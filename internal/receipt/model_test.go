package receipt_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/receipt"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// A model is what the conversations must be at the end.
type model struct {
	mu      sync.Mutex
	senders map[room.ID][]room.UserID // of the messages, by seq
	cursors map[receipt.Target]room.Cursor
	told    map[receipt.Target]room.Cursor // highest that was announced
	erased  map[room.UserID]bool
}

// A replicaModel is what the test needs of a replica. It is replaced when the replica restarts.
type replicaModel struct {
	db *postgres.DB

	mu       sync.RWMutex // held for writing during a restart
	receipts *receipt.Receipts
	stop     func()
}

// Publish notes what was announced. A cursor never exceeds what was marked.
func (m *model) Publish(_ string, body event.Body, _ func(error)) {
	r, _ := body.(event.Receipt)
	m.mu.Lock()
	defer m.mu.Unlock()
	for t := range m.cursors {
		if t.Conversation == r.Conversation && t.User == r.User {
			m.told[t] = m.told[t].Advanced(r.Cursor)
		}
	}
}

func (m *model) start(t *testing.T, p *replicaModel) {
	p.receipts = receipt.New(p.db, m, func(room.UserID) bool { return false }, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { p.receipts.Run(ctx) })
	p.stop = func() { cancel(); running.Wait() }
}

// restart stops a replica in order, and starts it again.
func (m *model) restart(t *testing.T, p *replicaModel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop()
	m.start(t, p)
}

// send stores a message.
func (m *model) send(t *testing.T, p *replicaModel, to receipt.Target) {
	role := room.Customer
	if to.User == to.Room.Therapist {
		role = room.Therapist
	}
	m.mu.Lock()
	defer m.mu.Unlock() // so that the order of seq is that of the model
	stored, _, err := p.db.Append(t.Context(), to.Conversation, room.Draft{Sender: to.User, SenderRole: role, Text: "x"})
	switch {
	case errors.Is(err, room.ErrErased):
		return
	case err != nil:
		t.Error(err)
		return
	}
	list := append(m.senders[to.Conversation], to.User)
	m.senders[to.Conversation] = list
	if stored.Seq != int64(len(list)) {
		t.Errorf("message %d is stored as %d", len(list), stored.Seq)
	}
}

// mark marks up to a random message, or one more than there are.
func (m *model) mark(t *testing.T, p *replicaModel, to receipt.Target, random *rand.Rand) {
	m.mu.Lock()
	last := int64(len(m.senders[to.Conversation]))
	c := room.Cursor{Delivered: random.Int64N(last + 1)}
	if random.IntN(2) == 0 {
		c.Read = random.Int64N(last + 1)
	}
	beyond := random.IntN(10) == 0
	if beyond {
		c.Read = last + 1000
	} else {
		m.cursors[to] = m.cursors[to].Advanced(c)
	}
	m.mu.Unlock()
	done := func(at room.Cursor, err error) {
		switch {
		case beyond && !errors.Is(err, receipt.ErrBeyond), !beyond && (err != nil || at.Advanced(c) != at):
			t.Errorf("mark %+v of %d messages: %+v, %v", c, last, at, err)
		}
	}
	if !beyond && random.IntN(2) == 0 {
		done = nil
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	p.receipts.Mark(to, c, done)
}

// unread counts as the contract says.
func (m *model) unread(to receipt.Target) (n int) {
	for i, sender := range m.senders[to.Conversation] {
		if int64(i) >= m.cursors[to].Read && sender != to.User && !m.erased[sender] {
			n++
		}
	}
	return n
}

// check compares the store with the model.
func (m *model) check(t *testing.T, db *postgres.DB) {
	total := map[room.UserID]int{}
	for to, want := range m.cursors {
		c, err := db.Conversation(t.Context(), to.Room, to.User)
		if err != nil {
			t.Fatal(err)
		}
		got := c.Customer
		if to.User == to.Room.Therapist {
			got = c.Therapist
		}
		if n := m.unread(to); got != want || c.Unread != n || c.LastSeq != int64(len(m.senders[to.Conversation])) {
			t.Errorf("user %d in %v: %+v, %d unread, last %d; want %+v, %d, %d", to.User, to.Room, got, c.Unread, c.LastSeq, want, n, len(m.senders[to.Conversation]))
		}
		if m.told[to] != want {
			t.Errorf("user %d in %v: %+v was announced, want %+v", to.User, to.Room, m.told[to], want)
		}
		total[to.User] += c.Unread
	}
	for user, want := range total {
		if n, err := db.Unread(t.Context(), user); err != nil || n != want {
			t.Errorf("user %d has %d unread in all (%v), want %d", user, n, err, want)
		}
		list, _, err := db.Summaries(t.Context(), user, nil, 100, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if to := (receipt.Target{s.ID, s.Room, user}); s.Cursor != m.cursors[to] || s.Unread != m.unread(to) {
				t.Errorf("listed for user %d in %v: %+v, %d unread; want %+v, %d", user, s.Room, s.Cursor, s.Unread, m.cursors[to], m.unread(to))
			}
		}
	}
}

// TestCursorsAndUnreadAreThoseOfAModel interleaves sends, receipts of several devices on both
// sides, restarts and an erasure on several replicas.
func TestCursorsAndUnreadAreThoseOfAModel(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := world.New(t)
	m := &model{senders: map[room.ID][]room.UserID{}, cursors: map[receipt.Target]room.Cursor{}, told: map[receipt.Target]room.Cursor{}, erased: map[room.UserID]bool{}}
	replicas := make([]*replicaModel, 3)
	for i := range replicas {
		replicas[i] = &replicaModel{db: w.OpenPostgres(t)}
		m.start(t, replicas[i])
	}
	var targets []receipt.Target
	for _, r := range []room.Room{{Customer: 1, Therapist: 2}, {Customer: 1, Therapist: 4}, {Customer: 3, Therapist: 2}} {
		c, err := replicas[0].db.Conversation(t.Context(), r, r.Customer)
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range []room.UserID{r.Customer, r.Therapist} {
			to := receipt.Target{c.ID, r, user}
			targets, m.cursors[to] = append(targets, to), room.Cursor{}
		}
	}
	const devices, steps = 8, 60
	var running sync.WaitGroup
	for device := range devices {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(device))) //nolint:gosec // replayable
			for step := range steps {
				p, to := replicas[random.IntN(len(replicas))], targets[random.IntN(len(targets))]
				switch n := random.IntN(100); {
				case n < 40:
					m.send(t, p, to)
				case n < 97:
					m.mark(t, p, to, random)
				default:
					m.restart(t, p)
				}
				if device == 0 && step == steps/2 {
					m.erase(t, p, 3)
				}
			}
		})
	}
	running.Wait()
	for _, p := range replicas {
		p.stop()
	}
	m.check(t, replicas[0].db)
}

// erase erases a user, whose messages of before are no longer unread.
func (m *model) erase(t *testing.T, p *replicaModel, user room.UserID) {
	if _, err := p.db.EraseUser(t.Context(), user); err != nil {
		t.Error(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.erased[user] = true
}
