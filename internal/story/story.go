// Package story records what happened to each connection, under its reference: the steps of
// the handshake with outcome, detail and duration, and how the connection ended. It keeps the
// stories of failed connections and explains them.
//
// A story must not contain a token, a password or the text of a message.
package story

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Version is the version of the encoding. A replica ignores stories with another version.
const Version = 1

// The outcomes of a step and of a handshake.
const (
	OK       = "ok"
	Accepted = "accepted"
	Refused  = "refused" // because of the client or a limit
	Failed   = "error"   // because of the server
)

// Received is the name of the first step of every story.
const Received = "received"

// A Step is one step of a handshake.
type Step struct {
	Name    string        `json:"name"`
	Outcome string        `json:"outcome"`
	Detail  string        `json:"detail,omitempty"`
	Took    time.Duration `json:"took_ns"`
}

// An End describes how an accepted connection ended.
type End struct {
	At            time.Time     `json:"at"`
	By            string        `json:"by"` // server, client or network
	Code          int           `json:"code"`
	Reason        string        `json:"reason"`
	Detail        string        `json:"detail,omitempty"`
	Age           time.Duration `json:"age_ns"`
	Idle          time.Duration `json:"idle_ns"`                // since the last byte in either direction
	Pong          time.Duration `json:"since_pong_ns,omitzero"` // since the last pong; 0 if there was none
	Received      uint32        `json:"received"`               // messages
	Sent          uint32        `json:"sent"`
	ReceivedBytes uint64        `json:"received_bytes"`
	SentBytes     uint64        `json:"sent_bytes"`
	Behind        int64         `json:"behind,omitempty"` // messages not yet sent to the client
	Cut           bool          `json:"cut,omitempty"`    // lost without a Close: see [session.End]
}

// A Return records that the client reconnected and how it saw the connection end.
type Return struct {
	At   time.Time `json:"at"`
	Ref  string    `json:"ref"`  // of the new connection
	Code string    `json:"code"` // close code of this connection as reported by the client
}

// A Story is what is known under one reference. Handshake, end and return are stored as
// separate stories that have some of these fields each; [Merge] combines them. A Story is not
// safe for concurrent use.
type Story struct {
	Version  int       `json:"v"`
	Ref      string    `json:"ref"`
	Replica  string    `json:"replica,omitempty"`
	Began    time.Time `json:"began,omitzero"`
	Endpoint string    `json:"endpoint,omitempty"`
	Method   string    `json:"method,omitempty"` // of a request to the HTTP API; "" for a WebSocket
	Path     string    `json:"path,omitempty"`   // safe to log
	TraceID  string    `json:"trace_id,omitempty"`
	Remote   string    `json:"remote,omitempty"`
	User     int64     `json:"user,omitempty"` // 0 if unknown
	Role     string    `json:"role,omitempty"`

	Steps   []Step `json:"steps,omitempty"`
	Outcome string `json:"outcome,omitempty"` // of the handshake; "" if this part is not about the handshake
	Status  int    `json:"status,omitempty"`  // HTTP status of a refusal before the upgrade
	Code    int    `json:"code,omitempty"`    // close code of a refusal after the upgrade
	Reason  string `json:"reason,omitempty"`
	Cause   string `json:"cause,omitempty"` // sub-cause of the reason: bad_signature, redis_refused

	LastRef  string `json:"last_ref,omitempty"`  // of the client's previous connection
	LastCode string `json:"last_code,omitempty"` // its close code as reported by the client

	End     *End     `json:"end,omitempty"`
	Returns []Return `json:"returns,omitempty"`

	entered time.Time // when Enter was called last
}

// Begin starts the story of a handshake.
func Begin(ref string) *Story {
	s := &Story{Version: Version, Ref: ref, Began: time.Now(), Steps: make([]Step, 1, 8)}
	s.Steps[0] = Step{Name: Received, Outcome: OK}
	return s
}

// Do runs a step and records its outcome and duration.
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

// Enter begins a step, which lasts until the next call, or until the story is refused.
func (s *Story) Enter(name string) {
	s.leave()
	s.entered = time.Now()
	s.Steps = append(s.Steps, Step{Name: name, Outcome: OK})
}

func (s *Story) leave() {
	if !s.entered.IsZero() {
		s.last().Took = time.Since(s.entered)
	}
}

// Detail sets the detail of the current step, or of the last one if none is running.
func (s *Story) Detail(text string) { s.last().Detail = Clip(text) }

// Last returns the last step.
func (s *Story) Last() Step { return *s.last() }

func (s *Story) last() *Step { return &s.Steps[len(s.Steps)-1] }

// Refuse records that the handshake failed at the last step. outcome is [Refused] or [Failed],
// reason is the word for the client, and cause the sub-cause, which may be empty.
func (s *Story) Refuse(outcome string, code int, reason, cause, detail string) {
	s.leave()
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

// Why returns the most specific word for the reason why the connection failed, or "".
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

// The maximum size of a detail and of an encoded story, in bytes.
const (
	maxDetail = 300
	maxStory  = 4 << 10
)

// Clip returns the first line of s, truncated to the maximum length of a detail. The other
// lines can be the stack of a panic.
func Clip(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > maxDetail {
		s = strings.ToValidUTF8(s[:maxDetail], "") + "…"
	}
	return s
}

// Encode encodes a story for a store. It drops the details of a story that is too large.
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
		panic(err) // every field can be encoded
	}
	return b
}

// Decode decodes a story. ok is false if it is not valid or has another version.
func Decode(b []byte) (s *Story, ok bool) {
	s = &Story{}
	if json.Unmarshal(b, s) != nil || s.Version != Version {
		return nil, false
	}
	return s, true
}

// Merge combines the parts of one story, which may come in any order. It returns nil if there
// are none.
func Merge(parts []*Story) *Story {
	var all *Story
	for _, p := range parts {
		if all == nil {
			c := *p
			c.Returns = slices.Clip(c.Returns)
			all = &c
			continue
		}
		if p.Outcome != "" && all.Outcome == "" { // the part of the handshake has most fields
			end, returns := all.End, all.Returns
			*all = *p
			all.End, all.Returns = end, returns
		}
		if all.End == nil {
			all.End = p.End
		}
		for _, r := range p.Returns {
			if !slices.ContainsFunc(all.Returns, func(known Return) bool { return known.Ref == r.Ref }) {
				all.Returns = append(all.Returns, r)
			}
		}
		if all.Replica == "" {
			all.Replica, all.Began, all.Endpoint, all.User = p.Replica, p.Began, p.Endpoint, p.User
			all.Path, all.Remote = p.Path, p.Remote
		}
	}
	return all
}
