package fleet

import (
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

const (
	// heartbeatInterval is the time between two heartbeats in the control group.
	heartbeatInterval = 5 * time.Second
	// storeInterval is the time between two heartbeats in the store. The heartbeats of
	// all replicas are compared as often.
	storeInterval = 10 * time.Second
	// storeRetry is the time after which a failed exchange with the store is tried again.
	// Before the first one the deployment is unknown, and the channel layer is down. Later
	// ones may find that the database was restored while it was away.
	storeRetry = time.Second
	// maxAge is the age at which a stored heartbeat expires: two were not renewed, so
	// its replica is gone.
	maxAge = 2*storeInterval + storeInterval/2
	// splitAfter is how long two replicas that hear themselves may not hear each other
	// before it counts as a split: six heartbeats.
	splitAfter = 6 * heartbeatInterval
	// maxSkew is how far the clock of a replica may differ from that of Postgres. Events
	// expire after 30 s.
	maxSkew = 5 * time.Second
	// maxGap is how long a replica that hears itself may miss its own events: three
	// heartbeats.
	maxGap = 3 * heartbeatInterval
)

// A hearing says whether this replica hears another one.
type hearing int

const (
	unsure  hearing = iota // one of the two does not hear itself, or has not for long enough
	audible                // it is heard
	silent                 // it is not heard and should be
)

// hears compares the stored heartbeat of another replica with the time of its last
// event in the control group, zero for none. heardSelf is the time since when this
// replica hears itself, zero if it does not.
//
// Only the time up to the other's stored heartbeat counts: a replica that has died
// since is silent for a good reason. A replica that does not hear itself has an outage
// or has just started. Both are reported elsewhere, so they prove no split.
func hears(now, heardSelf, lastHeard time.Time, o room.Heartbeat) hearing {
	stored := now.Add(-o.Age)
	switch {
	case !lastHeard.IsZero() && stored.Sub(lastHeard) < splitAfter:
		return audible
	case heardSelf.IsZero() || stored.Sub(heardSelf) < splitAfter || o.HeardSelf < splitAfter:
		return unsure
	}
	return silent
}

// refuse reports whether a refuses tokens signed by b, or b those signed by a. Different
// sets of keys alone are no refusal: during a correct rotation the sets differ, but each
// replica accepts the signing key of the other.
func refuse(a, b room.Heartbeat) bool {
	return !slices.Contains(a.AcceptedKeys, b.SigningKey) || !slices.Contains(b.AcceptedKeys, a.SigningKey)
}
