package inspect

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// slowAge is how long a slow commit or delivery is remembered, and maxSlow for how many rooms.
const slowAge, maxSlow = time.Minute, 512

// A SlowRoom is a room in which something took long in the last minute.
type SlowRoom struct {
	Replica string  `json:"replica"`
	Room    string  `json:"room"`
	What    string  `json:"what"` // commit or delivery
	WorstMS float64 `json:"worst_ms"`
	Times   int     `json:"times"`
	AgoMS   int64   `json:"ago_ms"` // since the last time
}

// SlowRooms remembers the rooms of this replica that were slow. Its methods may be called
// concurrently.
type SlowRooms struct {
	mu    sync.Mutex
	rooms map[slowKey]*slowRoom
}

type slowKey struct {
	room room.Room
	what string
}

type slowRoom struct {
	worst time.Duration
	times int
	last  time.Time
}

// NewSlowRooms returns an empty memory.
func NewSlowRooms() *SlowRooms { return &SlowRooms{rooms: map[slowKey]*slowRoom{}} }

// Add notes that something took long in a room.
func (s *SlowRooms) Add(r room.Room, what string, took time.Duration) {
	now, key := time.Now(), slowKey{r, what}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.rooms[key]
	if e == nil {
		if len(s.rooms) >= maxSlow && s.forgetLocked(now) == 0 {
			return // that many rooms are slow: it is not about one of them
		}
		e = &slowRoom{}
		s.rooms[key] = e
	}
	if now.Sub(e.last) > slowAge {
		*e = slowRoom{}
	}
	e.worst, e.times, e.last = max(e.worst, took), e.times+1, now
}

func (s *SlowRooms) forgetLocked(now time.Time) (forgotten int) {
	for key, e := range s.rooms {
		if now.Sub(e.last) > slowAge {
			delete(s.rooms, key)
			forgotten++
		}
	}
	return forgotten
}

// list returns the slowest rooms.
func (s *SlowRooms) list(replica string, limit int) []SlowRoom {
	now := time.Now()
	s.mu.Lock()
	s.forgetLocked(now)
	list := make([]SlowRoom, 0, len(s.rooms))
	for key, e := range s.rooms {
		list = append(list, SlowRoom{
			Replica: replica, Room: Room{int64(key.room.Customer), int64(key.room.Therapist)}.String(), What: key.what,
			WorstMS: float64(e.worst.Microseconds()) / 1000, Times: e.times, AgoMS: now.Sub(e.last).Milliseconds(),
		})
	}
	s.mu.Unlock()
	return slowest(list, limit)
}

func slowest(list []SlowRoom, limit int) []SlowRoom {
	slices.SortFunc(list, func(a, b SlowRoom) int {
		return cmp.Or(cmp.Compare(b.WorstMS, a.WorstMS), cmp.Compare(a.Room, b.Room))
	})
	return list[:min(len(list), limit)]
}
