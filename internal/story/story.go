// Package story tells what happened to one connection: the steps of its handshake,
// each with its outcome, its detail and the time it took, and how it ended, under
// one reference. It keeps the stories of those that failed, and knows for every
// cause what to do.
//
// A story holds no token, no password and no text of a message: whoever writes a
// detail into one sees to that, as for a line of the log.
package story

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Version is that of the form in which stories are kept. A replica leaves out what
// carries another one.
const Version = 1

// The outcomes of a step and of a handshake.
const (
	OK       = "ok"
	Accepted = "accepted"
	Refused  = "refused" // a cause of the client's, or no room for it
	Failed   = "error"   // a cause of the server's
)

// Received is the first step of every story.
const Received = "received"

// A Step is one thing that a handshake had to get through.
type Step struct {
	Name    string        `json:"name"`
	Outcome string        `json:"outcome"`
	Detail  string        `json:"detail,omitempty"`
	Took    time.Duration `json:"took_ns"`
}

// An End is how a socket ended that had been accepted.
type End struct {
	At            time.Time     `json:"at"`
	By            string        `json:"by"` // server, client or network
	Code          int           `json:"code"`
	Reason        string        `json:"reason"`
	Detail        string        `json:"detail,omitempty"`
	Age           time.Duration `json:"age_ns"`
	Idle          time.Duration `json:"idle_ns"`                // since the last byte either way
	Pong          time.Duration `json:"since_pong_ns,omitzero"` // since the last pong; 0 if there was none
	Received      uint32        `json:"received"`               // messages
	Sent          uint32        `json:"sent"`
	ReceivedBytes uint64        `json:"received_bytes"`
	SentBytes     uint64        `json:"sent_bytes"`
	Behind        int64         `json:"behind,omitempty"` // messages that waited for the client
}

// A Return is a client that came back and said how its last socket had ended.
type Return struct {
	At   time.Time `json:"at"`
	Ref  string    `json:"ref"`  // of the socket that it came back with
	Code string    `json:"code"` // what it saw of the last one
}

// A Story is what is known under one reference. What happened at different times is
// kept as one story each, with some of these fields; [Merge] puts them together. It is
// not safe for concurrent use.
type Story struct {
	Version  int       `json:"v"`
	Ref      string    `json:"ref"`
	Replica  string    `json:"replica,omitempty"`
	Began    time.Time `json:"began,omitzero"`
	Endpoint string    `json:"endpoint,omitempty"`
	Path     string    `json:"path,omitempty"` // as it may be logged
	Remote   string    `json:"remote,omitempty"`
	User     int64     `json:"user,omitempty"` // 0 while nobody knows
	Role     string    `json:"role,omitempty"`

	Steps   []Step `json:"steps,omitempty"`
	Outcome string `json:"outcome,omitempty"` // of the handshake; "" where it is not part of this
	Status  int    `json:"status,omitempty"`  // HTTP, of a refusal before the upgrade
	Code    int    `json:"code,omitempty"`    // the close, of one after it
	Reason  string `json:"reason,omitempty"`
	Cause   string `json:"cause,omitempty"` // the word beneath the reason: bad_signature, redis_refused

	LastRef  string `json:"last_ref,omitempty"`  // of the client's socket before this one
	LastCode string `json:"last_code,omitempty"` // and what it saw of its end

	End     *End     `json:"end,omitempty"`
	Returns []Return `json:"returns,omitempty"`
}

// Begin starts the story of a handshake.
func Begin(ref string) *Story {
	s := &Story{Version: Version, Ref: ref, Began: time.Now(), Steps: make([]Step, 1, 8)}
	s.Steps[0] = Step{Name: Received, Outcome: OK}
	return s
}

// Do runs a step and writes down how it went.
func (s *Story) Do(name string, run func() error) error {
	began := time.Now()
	s.Steps = append(s.Steps, Step{Name: name, Outcome: OK})
	err := run()
	s.last().Took = time.Since(began)
	if err != nil {
		s.last().Outcome = Refused
	}
	return err
}

// Detail writes down what the step that is under way, or was last, has found.
func (s *Story) Detail(text string) { s.last().Detail = Clip(text) }

// Last returns the step that the story has come to.
func (s *Story) Last() Step { return *s.last() }

func (s *Story) last() *Step { return &s.Steps[len(s.Steps)-1] }

// Refuse ends the handshake's story with its last step: outcome is [Refused] or
// [Failed], reason the word for the client, cause the one beneath it, which may be
// empty.
func (s *Story) Refuse(outcome string, code int, reason, cause, detail string) {
	s.Outcome, s.Code, s.Reason, s.Cause = outcome, code, reason, cause
	s.last().Outcome = outcome
	s.Detail(detail)
}

// FailedStep returns the step at which the handshake failed, or nil.
func (s *Story) FailedStep() *Step {
	for i := range s.Steps {
		if s.Steps[i].Outcome != OK {
			return &s.Steps[i]
		}
	}
	return nil
}

// Why returns the most exact word for why the connection failed, or "".
func (s *Story) Why() string {
	switch {
	case s.Outcome != "" && s.Outcome != Accepted:
		if s.Cause != "" {
			return s.Cause
		}
		return s.Reason
	case s.Cause != "":
		return s.Cause
	case s.End != nil:
		return s.End.Reason
	}
	return ""
}

// The longest text in a story, in bytes, and the largest story that is kept.
const (
	maxDetail = 300
	maxStory  = 4 << 10
)

// Clip takes the first line of a text, and not too much of it: a panic comes with its
// stack.
func Clip(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > maxDetail {
		s = strings.ToValidUTF8(s[:maxDetail], "") + "…"
	}
	return s
}

// Encode returns a story as it is kept. One that is too large loses its details.
func (s *Story) Encode() []byte {
	b, err := json.Marshal(s)
	if err == nil && len(b) > maxStory {
		short := *s
		short.Path, short.Remote = Clip(s.Path), Clip(s.Remote)
		short.Steps = append([]Step(nil), s.Steps...)
		for i := range short.Steps {
			short.Steps[i].Detail = ""
		}
		b, err = json.Marshal(&short)
	}
	if err != nil {
		panic(err) // it has no field that JSON does not know
	}
	return b
}

// Decode reads a story that was kept. ok is false for another version's.
func Decode(b []byte) (s *Story, ok bool) {
	s = &Story{}
	if json.Unmarshal(b, s) != nil || s.Version != Version {
		return nil, false
	}
	return s, true
}

// Merge puts together what is known under one reference, in any order. It returns nil
// for nothing.
func Merge(parts []*Story) *Story {
	var all *Story
	for _, p := range parts {
		if all == nil {
			c := *p
			c.Returns = slices.Clip(c.Returns)
			all = &c
			continue
		}
		if p.Outcome != "" && all.Outcome == "" { // the handshake's own part says most
			end, returns := all.End, all.Returns
			*all = *p
			all.End, all.Returns = end, returns
		}
		if all.End == nil {
			all.End = p.End
		}
		for _, r := range p.Returns {
			if !contains(all.Returns, r) {
				all.Returns = append(all.Returns, r)
			}
		}
		if all.Replica == "" {
			all.Replica, all.Began, all.Endpoint, all.User = p.Replica, p.Began, p.Endpoint, p.User
		}
	}
	return all
}

func contains(returns []Return, r Return) bool {
	for _, have := range returns {
		if have.Ref == r.Ref {
			return true
		}
	}
	return false
}
