package inspect

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/fleet"
)

// A Fleet says who has answered an inquiry.
type Fleet struct {
	At      time.Time `json:"at"`
	Asked   string    `json:"asked"`             // the replica that asked the others
	Replied []string  `json:"replied"`           // names of the replicas that have answered, sorted
	Missing []Missing `json:"missing,omitempty"` // of those that have not
}

// A Missing is a replica that has not answered.
type Missing struct {
	Replica string `json:"replica"`
	Why     string `json:"why"`
	// SilentMS is the time since anything was last heard of the replica, in milliseconds; -1 if
	// it has answered with an error.
	SilentMS int64 `json:"silent_ms"`
}

// String returns the replica and the reason.
func (m Missing) String() string { return m.Replica + " (" + m.Why + ")" }

// maxUnpacked bounds the answer of one replica, in bytes of JSON.
const maxUnpacked = 4 << 20

// pack returns v as compressed JSON.
func pack(v any) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed) // fails only for an unknown level
	_ = json.NewEncoder(w).Encode(v)             // every report can be encoded, and a buffer written
	_ = w.Close()
	return b.Bytes()
}

// marshal returns v as JSON. Every answer can be encoded.
func marshal(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic("encode an answer: " + err.Error())
	}
	return text
}

func unmarshal(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("decode JSON: %w", err)
	}
	return nil
}

func unpack(body []byte, v any) error {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(body)), maxUnpacked))
	if err != nil {
		return fmt.Errorf("decompress an answer: %w", err)
	}
	return unmarshal(text, v)
}

// newID returns a random number, so that nobody can answer an inquiry that it has not seen.
func newID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, since Go 1.24)
	return binary.BigEndian.Uint64(b[:])
}

// await registers a channel for the findings of an inquiry, until forget is called.
func (i *Inspector) await(id uint64, room int) (findings <-chan received, forget func()) {
	c := make(chan received, room)
	i.mu.Lock()
	i.pending[id] = c
	i.mu.Unlock()
	return c, func() {
		i.mu.Lock()
		delete(i.pending, id)
		i.mu.Unlock()
	}
}

// lostFor is how long a replica is named that is lost. Its sockets are gone, so it is of no more
// use later.
const lostFor = 5 * time.Minute

// expected returns the other replicas that should answer: all, or those of a name.
func (i *Inspector) expected(name string) map[event.ProcessID]fleet.Member {
	members := map[event.ProcessID]fleet.Member{}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range i.fleet.Members() {
		m.Replica = cmp.Or(m.Replica, i.names[m.ID], "of the process "+m.ID.String())
		if _, gone := i.gone[m.ID]; !gone && m.Silent < lostFor && (name == "" || name == m.Replica) {
			members[m.ID] = m
		}
	}
	return members
}

// checkName returns an error unless there is a replica of that name.
func (i *Inspector) checkName(name string) error {
	if name == "" || name == i.o.Replica || len(i.expected(name)) > 0 {
		return nil
	}
	names := []string{i.o.Replica}
	for _, m := range i.expected("") {
		names = append(names, m.Replica)
	}
	slices.Sort(names)
	return &BadRequest{fmt.Errorf("there is no replica %q; there are %s", name, strings.Join(names, ", "))}
}

// An answer is what one replica has answered.
type answer[T any] struct {
	replica string
	data    T
}

// A poll collects the answers to one inquiry.
type poll[T any] struct {
	fleet   Fleet
	answers []answer[T]
	missing map[event.ProcessID]fleet.Member
}

func (p *poll[T]) take(r report) {
	var data T
	err := errors.New(r.Error)
	if r.Error == "" {
		err = unmarshal(r.Data, &data)
	}
	if err != nil {
		p.fleet.Missing = append(p.fleet.Missing, Missing{r.Replica, err.Error(), -1})
		return
	}
	p.fleet.Replied = append(p.fleet.Replied, r.Replica)
	p.answers = append(p.answers, answer[T]{r.Replica, data})
}

func (p *poll[T]) takeFrom(i *Inspector, f received) {
	var r report
	if unpack(f.body, &r) == nil {
		i.noteName(f.from, r.Replica)
		p.take(r)
		delete(p.missing, f.from)
	}
}

// giveUp no longer waits for the replicas that have not answered.
func (p *poll[T]) giveUp(why string) {
	for id := range p.missing {
		p.miss(id, why)
	}
}

func (p *poll[T]) miss(id event.ProcessID, why string) {
	m := p.missing[id]
	text := fmt.Sprintf("%s; last heard of %v ago", why, m.Silent.Round(100*time.Millisecond))
	p.fleet.Missing = append(p.fleet.Missing, Missing{m.Replica, text, m.Silent.Milliseconds()})
	delete(p.missing, id)
}

func (p *poll[T]) finish() ([]answer[T], Fleet) {
	slices.Sort(p.fleet.Replied)
	slices.SortFunc(p.fleet.Missing, func(a, b Missing) int { return strings.Compare(a.Replica, b.Replica) })
	slices.SortFunc(p.answers, func(a, b answer[T]) int { return strings.Compare(a.replica, b.replica) })
	return p.answers, p.fleet
}

// ask asks all replicas, or those of a name, and returns what they have answered until all
// have or answerTimeout is over. This replica answers even if Redis is unavailable.
func ask[T any](ctx context.Context, i *Inspector, what, by, name string, arguments any) ([]answer[T], Fleet, error) {
	select {
	case i.asking <- struct{}{}:
		defer func() { <-i.asking }()
	default:
		return nil, Fleet{}, ErrBusy
	}
	if err := i.checkName(name); err != nil {
		return nil, Fleet{}, err
	}
	q := newInquiry(what, by, arguments)
	p := poll[T]{fleet: Fleet{At: time.Now().UTC(), Asked: i.o.Replica, Replied: []string{}}, missing: map[event.ProcessID]fleet.Member{}}
	for id, m := range i.expected(name) {
		if p.missing[id] = m; m.Lost {
			p.miss(id, "lost: its heartbeats have ceased")
		}
	}
	findings, forget := i.await(q.ID, len(p.missing)+maxInquiries)
	defer forget()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	failed := make(chan error, 1)
	i.publish(q, func(err error) {
		if err != nil {
			failed <- err
		}
	})
	own := make(chan report, 1)
	i.start(func() {
		defer close(own)
		if r, meant := i.answer(ctx, i.fleet.ID(), &q); meant {
			own <- r
		}
	})
	late := fmt.Sprintf("no answer within %v", answerTimeout)
	for own != nil || len(p.missing) > 0 {
		select {
		case r, meant := <-own:
			if own = nil; meant {
				p.take(r)
			}
		case f := <-findings:
			p.takeFrom(i, f)
		case err := <-failed:
			p.giveUp("not asked: " + err.Error())
		case <-ctx.Done():
			if p.giveUp(late); own != nil {
				own, p.fleet.Missing = nil, append(p.fleet.Missing, Missing{i.o.Replica, late, 0})
			}
		}
	}
	answers, f := p.finish()
	return answers, f, nil
}

func newInquiry(what, by string, arguments any) event.Inquiry {
	return event.Inquiry{ID: newID(), What: what, By: by, Arguments: marshal(arguments)}
}
