package adopt

import (
	"fmt"
	"slices"
)

// A Report is what an import has done, or would do.
type Report struct {
	Rehearsal     bool      `json:"rehearsal"`
	Users         Count     `json:"users"`
	Conversations Count     `json:"conversations"`
	Messages      Count     `json:"messages"`
	Findings      []Finding `json:"findings"`
	TookMS        int64     `json:"took_ms"`
}

// A Count is of one table. Read is the sum of the others.
type Count struct {
	Read    int64 `json:"read"`
	Added   int64 `json:"added"`
	Known   int64 `json:"known"` // were there already
	LeftOut int64 `json:"left_out"`
}

// A Finding is something that a person should know of.
type Finding struct {
	Kind    string `json:"kind"` // a stable word
	LeftOut bool   `json:"left_out"`
	Count   int64  `json:"count"`
	// Examples are the ids of the first few in the predecessor's database.
	Examples []string `json:"examples"`
	Means    string   `json:"means"`
}

const mostExamples = 10

// The kinds of findings. Those in leftOut mean that rows did not come over.
var leftOut = map[string]string{
	"bad_user_id":          "users whose id is not between 1 and 2^53-1, which is what every client can read",
	"unknown_role":         "users whose role is none of ours: translate it with --role",
	"duplicate_email":      "users whose e-mail address another one with a lower id has, in another case: change it in the predecessor",
	"email_or_phone_taken": "users whose e-mail address or phone number another user of roomspa has",
	"erased_user":          "users who were erased in roomspa",
	"unreadable_user":      "users with an e-mail address or hash that is not UTF-8",
	"no_such_user":         "conversations with somebody who does not exist or was left out",
	"wrong_role":           "conversations whose customer is no customer, or whose therapist is no therapist",
	"conversation_taken":   "conversations whose id another room's conversation has in roomspa",
	"no_conversation":      "messages of no conversation",
	"conversation_left":    "messages of conversations that were left out",
	"foreign_sender":       "messages whose sender is on neither side of the conversation",
	"unreadable_text":      "messages whose text is not UTF-8 or has a NUL",
	"no_time":              "messages that do not say when they were sent",
}

var noted = map[string]string{
	"no_column":            "columns that the tables do not have: these values are missing",
	"no_email":             "users without an e-mail address: they got one that leads nowhere, and sign in by phone",
	"duplicate_phone":      "users without the phone number that another one with a lower id has: they sign in by e-mail",
	"no_phone":             "users whose phone number has an @, and would be taken for an e-mail address: they came without it",
	"unknown_hash":         "users with a password hash that roomspa cannot read: they need a new password",
	"user_changed":         "users who are in roomspa with another e-mail address, phone number, role or activity; they were left as they are there",
	"merged_conversations": "conversations of a room that has several: their messages became one conversation, in the order of their times",
	"empty_text":           "messages without text: in roomspa they look like erased ones",
	"message_changed":      "messages that have another text in roomspa; it was left as it is there",
	"late":                 "messages that are older than one which is in roomspa already: they stand behind it",
	"erased_message":       "messages of users who were erased in roomspa: they came without their text",
}

// find counts one more of a kind. Rows that are left out are counted by table too.
func (r *Report) find(kind, example string) { r.findMany(kind, 1, example) }

func (r *Report) findMany(kind string, n int64, examples ...string) {
	if n == 0 {
		return
	}
	means, left := leftOut[kind]
	if !left {
		means = noted[kind]
	}
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Kind == kind })
	if i < 0 {
		i = len(r.Findings)
		r.Findings = append(r.Findings, Finding{Kind: kind, LeftOut: left, Means: means, Examples: []string{}})
	}
	f := &r.Findings[i]
	f.Count += n
	f.Examples = append(f.Examples, examples[:min(len(examples), mostExamples-len(f.Examples))]...)
}

// Whole reports whether everything came over, or would.
func (r *Report) Whole() bool {
	return r.Users.LeftOut == 0 && r.Conversations.LeftOut == 0 && r.Messages.LeftOut == 0
}

// String is one line for the progress.
func (r Report) String() string {
	return fmt.Sprintf("users %d, conversations %d, messages %d", r.Users.Read, r.Conversations.Read, r.Messages.Read)
}
