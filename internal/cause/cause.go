// Package cause holds the table of everything that can go wrong. Each cause has a stable word,
// its meaning, its symptoms for clients and operators, and its cure. The server, the commands
// and docs/troubleshooting.md all use this table.
package cause

import (
	"errors"
	"iter"
	"slices"
)

// An Entry describes one cause for which a connection, a replica or a store fails.
type Entry struct {
	Cause  string `json:"cause"`            // the stable word: a close reason, a code of an error frame, or a sub-cause
	Means  string `json:"means"`            // what went wrong, as a sentence
	Client string `json:"client"`           // what the client sees
	Log    string `json:"log,omitempty"`    // the log line of the replicas; "" if there is none
	Metric string `json:"metric,omitempty"` // the metric that changes; "" if there is none
	Cure   string `json:"cure"`             // what to do, as sentences
}

// A Chapter holds the causes of one area, such as Redis or tokens.
type Chapter struct {
	Title string
	About string
	Rows  []Entry
}

// Chapters returns the whole table, in the order in which a connection meets the
// areas, from the outside in. The caller must not modify the result.
func Chapters() []Chapter {
	return []Chapter{onTheWay, beforeTheUpgrade, closes, tokens, keySets, frames, inRedis, inPostgres, inTheReplica, betweenReplicas, ofReplicas, seenByDiagnose}
}

// Find returns the entry for a cause's word.
func Find(word string) (e Entry, ok bool) {
	for e := range All() {
		if e.Cause == word {
			return e, true
		}
	}
	return Entry{}, false
}

// Cure returns what to do about a cause, or "" if the word is unknown.
func Cure(word string) string {
	e, _ := Find(word)
	return e.Cure
}

// All yields every entry, in the order of [Chapters].
func All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, c := range Chapters() {
			for e := range slices.Values(c.Rows) {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// Of returns the word for the cause of an error, such as redis_refused or
// postgres_locked, or "" if no error in the chain names one. An error names its cause
// with a method Cause() string.
func Of(err error) string {
	if c, ok := errors.AsType[interface {
		error
		Cause() string
	}](err); ok {
		return c.Cause()
	}
	return ""
}

// IsRefusal reports whether an error says that a store has answered, and refused what was asked
// of it. Otherwise the store may be unreachable.
func IsRefusal(err error) bool {
	switch Of(err) {
	case "redis_permission_denied", "redis_subscribe_forbidden", "redis_wrong_password", "redis_read_only", "redis_out_of_memory", "redis_cannot_save",
		"redis_protected_mode", "redis_no_such_database", "redis_no_replicas", "redis_unknown_command", "redis_wrong_type",
		"redis_is_cluster", "redis_not_cluster", "redis_is_sentinel", "redis_not_sentinel", "redis_no_such_master":
		return true
	}
	return false
}
