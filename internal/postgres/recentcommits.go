package postgres

import (
	"sync"

	"github.com/roomspa/roomspa/internal/room"
)

// countMissing is a query per message: a join might be planned to read the whole table.
const countMissing = `
SELECT count(*) FROM unnest($1::uuid[], $2::bigint[], $3::uuid[]) AS r (conversation_id, seq, id)
WHERE (
	SELECT m.id FROM roomspa.messages m WHERE m.conversation_id = r.conversation_id AND m.seq = r.seq
) IS DISTINCT FROM r.id`

// maxRecentCommits is more than the number of batches that are committed at a time. So one
// of the last ones that this process heard of is the last one in the server's log.
const maxRecentCommits = 4

// recentCommits holds the last message of each of the last batches that this process has
// committed. Rows of messages are never deleted, and the server's log is in the order of
// the commits. So if these messages exist, all that this process committed before exist,
// and if one does not, the database has gone back in time. The heartbeats alone do not
// show that: a standby that lacks the last second may have lost only a few of them, and
// other replicas have soon raised the number again.
type recentCommits struct {
	mu   sync.Mutex
	last []room.Message // without text; the newest is the last
}

// add notes a batch that was committed. It ignores duplicates: they were committed before.
func (r *recentCommits) add(ds []*draft) {
	for i := len(ds) - 1; i >= 0; i-- {
		if m := &ds[i].result.message; ds[i].err == nil && !ds[i].result.duplicate {
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.last) == maxRecentCommits {
				r.last = append(r.last[:0], r.last[1:]...)
			}
			r.last = append(r.last, room.Message{Conversation: m.Conversation, Seq: m.Seq, ID: m.ID})
			return
		}
	}
}

func (r *recentCommits) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = r.last[:0]
}

// columns returns the arguments of countMissing.
func (r *recentCommits) columns() (conversations []room.ID, seqs []int64, ids []room.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.last {
		conversations, seqs, ids = append(conversations, m.Conversation), append(seqs, m.Seq), append(ids, m.ID)
	}
	return conversations, seqs, ids
}
