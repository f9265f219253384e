package channel

import "github.com/roomspa/roomspa/internal/event"

// onSubscribed is called when Redis has confirmed every group on a new connection. If
// there was an earlier connection, members have missed what was published in between. If
// that was one of another deployment or timeline, they have to start anew.
func (s *shard) onSubscribed(d *event.Deployment, again bool) {
	s.setHealth(subscribing, nil)
	reset := s.subscribed.ID != "" && !s.subscribed.Same(d)
	s.subscribed = *d
	if again {
		s.metrics.resubscriptions.Inc()
		s.tellMissed(reset)
	}
}

// setHealth records whether one part of the shard works. While a part did not work,
// members may have put off their queries, so they are told once both work again.
func (s *shard) setHealth(part int, err error) {
	if s.health.set(part, err) {
		s.tellMissed(false)
	}
}

func (s *shard) tellMissed(reset bool) {
	for _, members := range s.groups.allMembers() {
		for _, m := range members {
			m.missed(reset)
		}
	}
}
