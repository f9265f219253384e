package adopt

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/roomspa/roomspa/internal/logging"
)

// A Report is the result of an import, or of its rehearsal.
type Report struct {
	Rehearsal     bool      `json:"rehearsal"`
	Users         Count     `json:"users"`
	Conversations Count     `json:"conversations"`
	Messages      Count     `json:"messages"`
	Findings      []Finding `json:"findings"`
	TookMS        int64     `json:"took_ms"`
}

// A Count counts the rows of one table. Read is the sum of the others.
type Count struct {
	Read    int64 `json:"read"`
	Added   int64 `json:"added"`
	Known   int64 `json:"known"` // imported earlier
	LeftOut int64 `json:"left_out"`
}

// A Finding describes rows that were imported with changes, or not at all.
type Finding struct {
	Kind    string `json:"kind"` // a stable word
	LeftOut bool   `json:"left_out"`
	Count   int64  `json:"count"`
	// Examples are the ids of the first few rows in the predecessor's database.
	Examples []string `json:"examples"`
	Means    string   `json:"means"`
}

const maxExamples = 10

// leftOut lists the kinds of findings about rows that were not imported.
var leftOut = map[string]string{
	"bad_user_id":          "users whose id is not between 1 and 2^53-1, the range that all clients can represent",
	"unknown_role":         "users whose role is unknown to roomspa: map it with --role",
	"duplicate_email":      "users with the same e-mail address as a user with a lower id, ignoring case: change it in the predecessor",
	"email_or_phone_taken": "users whose e-mail address or phone number belongs to another user of roomspa",
	"erased_user":          "users who were erased in roomspa",
	"unreadable_user":      "users whose e-mail address or hash is not valid UTF-8",
	"no_such_user":         "conversations with a user who does not exist or was left out",
	"wrong_role":           "conversations whose customer is not a customer, or whose therapist is not a therapist",
	"conversation_taken":   "conversations whose id belongs to the conversation of another room in roomspa",
	"no_conversation":      "messages without a conversation",
	"conversation_left":    "messages of conversations that were left out",
	"foreign_sender":       "messages whose sender is neither the customer nor the therapist of the conversation",
	"unreadable_text":      "messages whose text is not valid UTF-8 or contains a NUL",
	"no_time":              "messages without a time",
}

// noted lists the kinds of findings about rows that were imported with changes.
var noted = map[string]string{
	"no_column":            "columns that do not exist in the predecessor: their values are missing",
	"no_email":             "users without an e-mail address: they got an invalid one, and sign in with their phone number",
	"duplicate_phone":      "users with the same phone number as a user with a lower id: they have none now, and sign in with their e-mail address",
	"no_phone":             "users whose phone number contains an @, which would make it an e-mail address: they have none now",
	"unknown_hash":         "users whose password hash roomspa cannot verify: they need a new password",
	"user_changed":         "users whose e-mail address, phone number, role or activity differs in roomspa, where it stays as it is",
	"merged_conversations": "further conversations of a room: their messages became part of its one conversation, ordered by time",
	"empty_text":           "messages without text: in roomspa they look like erased ones",
	"message_changed":      "messages whose text differs in roomspa, where it stays as it is",
	"late":                 "messages that are older than one that was imported or sent before: they are numbered after it",
	"expired":              "messages that were imported earlier and deleted since by roomspa retention: they are not imported again",
	"erased_message":       "messages of users who were erased in roomspa: they have no text now",
}

// add adds n rows to the finding of a kind.
func (r *Report) add(kind string, n int64, examples ...string) {
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
	f.Examples = append(f.Examples, examples[:min(len(examples), maxExamples-len(f.Examples))]...)
}

// Complete reports whether no row was left out.
func (r *Report) Complete() bool {
	return r.Users.LeftOut == 0 && r.Conversations.LeftOut == 0 && r.Messages.LeftOut == 0
}

// String returns the number of rows read, in one line.
func (r Report) String() string {
	return fmt.Sprintf("users %d, conversations %d, messages %d", r.Users.Read, r.Conversations.Read, r.Messages.Read)
}

// WriteText writes a table of the counts, followed by the findings.
func (r *Report) WriteText(to io.Writer) error {
	var b strings.Builder
	added := "added"
	if r.Rehearsal {
		added = "to add"
	}
	fmt.Fprintf(&b, "%-14s %10s %10s %10s %10s\n", "", "read", added, "known", "left out")
	for _, row := range []struct {
		name string
		Count
	}{{"users", r.Users}, {"conversations", r.Conversations}, {"messages", r.Messages}} {
		fmt.Fprintf(&b, "%-14s %10d %10d %10d %10d\n", row.name, row.Read, row.Added, row.Known, row.LeftOut)
	}
	for _, f := range r.Findings {
		outcome := "note"
		if f.LeftOut {
			outcome = "LEFT OUT"
		}
		fmt.Fprintf(&b, "%-8s %6d %s", outcome, f.Count, f.Means)
		if len(f.Examples) > 0 {
			fmt.Fprintf(&b, " (%s)", logging.Printable(strings.Join(f.Examples, ", "), " "))
		}
		fmt.Fprintln(&b)
	}
	if r.Rehearsal {
		fmt.Fprintln(&b, "This was a rehearsal: nothing was written.")
	}
	_, err := io.WriteString(to, b.String())
	return err
}
