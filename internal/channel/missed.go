package channel

import "github.com/roomspa/roomspa/internal/event"

// onSubscribed is called when Redis has confirmed every group on a new connection. If
// there was an earlier connection, members have missed what was published in between. If
// that was one of another deployment or timeline, they have to reload their state. They are told
// so first: until then they still go on from what they know.
func (s *shard) onSubscribed(d *event.Deployment, again bool) {
	reset := s.subscribed.ID != "" && !s.subscribed.Same(d)
	s.subscribed = *d
	if reset {
		s.tellMissed(true)
	}
	s.setHealth(subscribing, nil)
	if again {
		s.metrics.resubscriptions.Inc()
	}
	if again && !reset {
		s.tellMissed(false)
	}
}

// setHealth records whether one part of the shard works. While the layer is down, members put
// off their queries, so those of all shards are told when it is up again.
func (s *shard) setHealth(part int, err error) {
	if s.health.set(s.index, part, err) {
		for _, each := range s.layer.shards {
			each.tellMissed(false)
		}
	}
}

func (s *shard) tellMissed(reset bool) {
	for _, members := range s.groups.allMembers() {
		for _, m := range members {
			m.missed(reset)
		}
	}
}
