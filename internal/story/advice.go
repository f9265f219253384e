package story

import (
	"iter"
	"slices"
)

// An Advice is one cause for which a connection, a replica or a store fails: how it
// shows on each side, and what to do. It is the one table that the commands, the ops
// listener and docs/troubleshooting.md speak from.
type Advice struct {
	Cause  string `json:"cause"`            // the stable word: a close reason, a code of an error frame, or a sub-cause
	Means  string `json:"means"`            // for a person
	Client string `json:"client"`           // what the client sees
	Log    string `json:"log,omitempty"`    // what to look for in the log of the replicas; "" where they hear nothing of it
	Metric string `json:"metric,omitempty"` // what moves in /metrics; "" where nothing does
	Cure   string `json:"cure"`             // what to do, and who
}

// A Chapter is the advice for one place where things go wrong.
type Chapter struct {
	Title string
	About string
	Rows  []Advice
}

// Chapters returns the whole table, in the order in which a connection comes by:
// from the outside in. Nobody may change what it returns.
func Chapters() []Chapter {
	return []Chapter{onTheWay, beforeTheUpgrade, closes, tokens, keySets, frames, inRedis, inPostgres, betweenReplicas, seenByDiagnose}
}

// Advise returns the advice for a cause.
func Advise(cause string) (a Advice, ok bool) {
	for row := range Advices() {
		if row.Cause == cause {
			return row, true
		}
	}
	return Advice{}, false
}

// Cure returns what to do about a cause, or "" for one that is not known.
func Cure(cause string) string {
	a, _ := Advise(cause)
	return a.Cure
}

// Advices yields every row, in the order of [Chapters].
func Advices() iter.Seq[Advice] {
	return func(yield func(Advice) bool) {
		for _, c := range Chapters() {
			for a := range slices.Values(c.Rows) {
				if !yield(a) {
					return
				}
			}
		}
	}
}
