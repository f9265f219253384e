// Package failure keeps what has failed on a replica in the last ten minutes, by cause: how often,
// of how many attempts, since when, and the text of the last failure. An operator reads it at
// /readyz. It holds no data of users, and its size is bounded whatever clients do.
package failure

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
)

// Window is the time for which failures are kept.
const Window = 10 * time.Minute

const (
	slot    = 30 * time.Second
	slots   = int(Window / slot)
	maxText = 300 // bytes
	// maxCauses is the number of causes of one side that are kept. There are fewer words.
	maxCauses = 64
)

// A Kind is what was attempted.
type Kind int

// The kinds of attempts.
const (
	Handshake Kind = iota // of a WebSocket, up to the connected frame
	Send                  // of a chat message
	REST                  // a request to the HTTP API that is none of the following
	Ticket                // a request for a ticket
	SignIn                // a sign-in, a refresh or a sign-out
	Location              // a position, on a socket or by HTTP
	kinds
)

// names are the words of the kinds, and what the attempts are called.
var names = [kinds][2]string{
	Handshake: {"handshake", "handshakes"}, Send: {"send", "sends of messages"}, REST: {"rest", "API requests"},
	Ticket: {"ticket", "requests for a ticket"}, SignIn: {"sign_in", "sign-ins and token refreshes"}, Location: {"location", "positions"},
}

// The sides that can be at fault.
const (
	Server = "server"
	Client = "client"
)

// A Log keeps the failures of one replica. The zero value is ready to use, and a nil Log keeps
// nothing. Its methods are safe for concurrent use.
type Log struct {
	attempts [kinds]atomic.Int64

	mu      sync.Mutex
	before  [slots][kinds]int64 // attempts at the ends of the last slots, a ring
	next    int                 // of before
	entries map[key]*entry
}

type key struct {
	kind  Kind
	side  string
	cause string
}

// An entry is one cause. Its counts are those of the last slots, a ring.
type entry struct {
	counts      [slots]int
	slot        int64 // number of the slot that was counted last
	first, last time.Time
	text        string
}

// Attempt counts an attempt, whatever becomes of it. It takes one atomic addition.
func (l *Log) Attempt(k Kind) {
	if l != nil {
		l.attempts[k].Add(1)
	}
}

// Failed records an attempt that failed because of the server or its stores. The cause is that of
// the error if it has one, else reason. An error of a caller that has gone is not recorded.
func (l *Log) Failed(k Kind, reason string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	l.record(key{k, Server, cmp.Or(cause.Of(err), reason)}, text, time.Now())
}

// Refused records an attempt that failed because of the client.
func (l *Log) Refused(k Kind, reason string) {
	l.record(key{k, Client, reason}, "", time.Now())
}

func (l *Log) record(k key, text string, now time.Time) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[k]
	if e == nil {
		e = l.add(k, now)
	}
	if now.Sub(e.last) > Window {
		*e = entry{first: now}
	}
	e.advance(now)
	e.counts[e.slot%int64(slots)]++
	e.last, e.text = now, clip(text)
}

// add returns a new entry. If there are too many, it is that of the cause "other".
func (l *Log) add(k key, now time.Time) *entry {
	n := 0
	maps.DeleteFunc(l.entries, func(k key, e *entry) bool { return now.Sub(e.last) > Window })
	for other := range l.entries {
		if other.side == k.side {
			n++
		}
	}
	if n >= maxCauses {
		k.cause = "other"
	}
	e := l.entries[k]
	if e == nil {
		e = &entry{first: now, last: now}
		if l.entries == nil {
			l.entries = map[key]*entry{}
		}
		l.entries[k] = e
	}
	return e
}

// advance empties the slots that have passed.
func (e *entry) advance(now time.Time) {
	current := now.UnixNano() / int64(slot)
	for n := max(e.slot, current-int64(slots)) + 1; n <= current; n++ {
		e.counts[n%int64(slots)] = 0
	}
	e.slot = max(e.slot, current)
}

// Run counts attempts by slots until ctx ends, so that those of the last ten minutes are known.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(slot)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.turn()
		}
	}
}

func (l *Log) turn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.attempts {
		l.before[l.next][k] = l.attempts[k].Load()
	}
	l.next = (l.next + 1) % slots
}

// A Summary is one cause of the last ten minutes.
type Summary struct {
	Kind   string    `json:"kind"`
	Cause  string    `json:"cause"`
	Side   string    `json:"side"`
	Count  int       `json:"count"`
	Of     int64     `json:"of"`    // attempts of the kind
	First  time.Time `json:"first"` // since it happens without a pause of ten minutes
	Last   time.Time `json:"last"`
	Text   string    `json:"text"` // of the last failure
	Advice string    `json:"advice"`
}

// Recent returns the failures of the last ten minutes: those of the server first, then the most
// frequent ones.
func (l *Log) Recent() []Summary { return l.recent(time.Now()) }

func (l *Log) recent(now time.Time) []Summary {
	all := []Summary{}
	if l == nil {
		return all
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, e := range l.entries {
		e.advance(now)
		n := 0
		for _, count := range e.counts {
			n += count
		}
		if n == 0 {
			continue
		}
		known, _ := cause.Find(k.cause)
		all = append(all, Summary{
			Kind: names[k.kind][0], Cause: k.cause, Side: k.side, Count: n,
			Of:    max(l.attempts[k.kind].Load()-l.before[l.next][k.kind], int64(n)),
			First: e.first.UTC().Truncate(time.Millisecond), Last: e.last.UTC().Truncate(time.Millisecond),
			Text: cmp.Or(e.text, known.Means), Advice: known.Cure,
		})
	}
	slices.SortFunc(all, func(a, b Summary) int {
		return cmp.Or(-cmp.Compare(a.Side, b.Side), -cmp.Compare(a.Count, b.Count), cmp.Compare(a.Kind+a.Cause, b.Kind+b.Cause))
	})
	return all
}

// clip returns the first line of a text, truncated, without words that may be an e-mail address.
func clip(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	if !strings.Contains(text, "@") {
		return text
	}
	words := strings.Split(text, " ")
	for i, w := range words {
		if strings.Contains(w, "@") {
			words[i] = "…"
		}
	}
	return strings.Join(words, " ")
}
