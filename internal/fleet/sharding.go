package fleet

import (
	"fmt"

	"github.com/roomspa/roomspa/internal/room"
)

// shards is the name of the setting by which a replica says that it can use sharded Pub/Sub. It is
// no option, so it may differ. Earlier releases do not set it.
const shards = "redis-pubsub"

// refusalOf returns nil if all live replicas can use sharded Pub/Sub, or which cannot.
func refusalOf(others []room.Heartbeat) error {
	cannot := map[string]string{}
	for i := range others {
		if o := &others[i]; o.Age <= maxAge && o.Settings[shards] == "" {
			cannot[o.ID] = o.Replica
		}
	}
	if len(cannot) == 0 {
		return nil
	}
	return fmt.Errorf("replicas cannot use sharded Pub/Sub, since they are of an earlier release or Redis refuses it to them: %s", names(cannot))
}
