package postgres

import (
	"slices"
	"sync"

	"github.com/roomspa/roomspa/internal/room"
)

// countMissing is a query per message: a join might be planned to read the whole table. What is
// left of a conversation has no hole, so a message with a number below the first one was deleted
// because of its age.
const countMissing = `
SELECT count(*) FROM unnest($1::uuid[], $2::bigint[], $3::uuid[]) AS r (conversation_id, seq, id)
WHERE (
	SELECT m.id FROM roomspa.messages m WHERE m.conversation_id = r.conversation_id AND m.seq = r.seq
) IS DISTINCT FROM r.id AND r.seq >= coalesce((
	SELECT m.seq FROM roomspa.messages m WHERE m.conversation_id = r.conversation_id ORDER BY m.seq LIMIT 1
), 0)`

const (
	// minRecentCommits is more than the number of batches that are committed at a time. So
	// one of the last ones that this process heard of is the last one in the server's log.
	minRecentCommits = 4
	// maxRecentCommits bounds what one heartbeat looks for: 100 batches per second.
	maxRecentCommits = 1000
)

// recentCommits holds the last message of each batch that this process has committed since
// the last heartbeat, and of the last few before it. Rows of messages are only deleted
// when they are old, from the first one of a conversation on, and the server's log is in the
// order of the commits. So if the database has gone back in time
// to before any of these messages, that one is missing. The heartbeats alone do not show
// that: a standby that lacks the last second may have lost none of them or only a few, and
// other replicas have soon raised the number again. Nor would the last few messages alone:
// those of after the loss would soon displace those of before it.
type recentCommits struct {
	mu   sync.Mutex
	last []recentCommit // the newest is the last
}

type recentCommit struct {
	conversation room.ID
	seq          int64
	id           room.ID
}

// add notes a batch that was committed. It ignores duplicates: they were committed before. It
// returns true if the database may have gone back in time: the conversation had a message with
// that number or a higher one. A heartbeat decides.
func (r *recentCommits) add(ds []*draft) (suspicious bool) {
	for _, d := range slices.Backward(ds) {
		if m := &d.result.message; d.err == nil && !d.result.duplicate {
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.last) == maxRecentCommits {
				r.thin()
			}
			// Two batches that were committed together may also arrive here in the wrong order.
			suspicious = slices.ContainsFunc(r.last, func(c recentCommit) bool { return c.seq >= m.Seq && c.conversation == m.Conversation })
			r.last = append(r.last, recentCommit{m.Conversation, m.Seq, m.ID})
			return suspicious
		}
	}
	return false
}

// thin drops every other commit but the last few. At such a rate the others are still close
// to each other in time.
func (r *recentCommits) thin() {
	end := len(r.last) - minRecentCommits
	kept := r.last[:0]
	for i, c := range r.last {
		if i%2 == 0 || i >= end {
			kept = append(kept, c)
		}
	}
	r.last = kept
}

// confirm drops all but the last few of the commits up to newest, which a heartbeat has
// found in the database.
func (r *recentCommits) confirm(newest recentCommit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.last {
		if r.last[i] == newest && i >= minRecentCommits {
			r.last = append(r.last[:0], r.last[i+1-minRecentCommits:]...)
			return
		}
	}
}

func (r *recentCommits) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = nil
}

// columns returns the arguments of countMissing, and the newest of these commits.
func (r *recentCommits) columns() (conversations []room.ID, seqs []int64, ids []room.ID, newest recentCommit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.last {
		conversations, seqs, ids = append(conversations, c.conversation), append(seqs, c.seq), append(ids, c.id)
		newest = c
	}
	return conversations, seqs, ids, newest
}
