package channel

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// groups holds the groups that have members on this replica, and the state of each
// group's subscription on the current connection. Redis executes the commands of a
// connection in order and confirms each. So a group is subscribed if the last command
// sent for it was SUBSCRIBE and no confirmation is missing.
type groups struct {
	metrics *metrics
	silence time.Duration // without a confirmation before Redis is overdue
	changed chan struct{} // takeChanges may have something to return

	mu          sync.Mutex
	byName      map[string]*group
	dirty       []*group  // joined or left since takeChanges
	epoch       uint32    // of the connection; the state of an earlier one is void
	unconfirmed int       // commands on this connection, counted by channel
	progress    time.Time // of the last confirmation, or when commands were sent after it
	live        int       // subscribed groups
}

// A group is the subscription of one group's channel and its members on this replica. Keep it
// small, because a replica has tens of thousands of groups.
type group struct {
	name    string
	members []*member     // never modified in place: the receive loop reads it without a lock
	ready   chan struct{} // closed when subscribed; nil if nobody waits
	epoch   uint32        // of the fields below

	unconfirmed int32
	subscribed  bool // the last command was SUBSCRIBE
	live        bool // and it is confirmed
	queued      bool // in dirty
}

type member struct {
	deliver func(event.Event)
	missed  func(reset bool)
}

func newGroups(m *metrics, silence time.Duration) *groups {
	return &groups{metrics: m, silence: silence, byName: make(map[string]*group), changed: make(chan struct{}, 1)}
}

// add adds a member to a group.
func (gs *groups) add(name string, m *member) *group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.byName[name]
	if g == nil {
		g = &group{name: name, epoch: gs.epoch}
		gs.byName[name] = g
	}
	g.members = append(slices.Clip(g.members), m)
	return g
}

// await returns a channel that is closed when the group is subscribed, or nil if it is
// subscribed already. The group must have a member.
func (gs *groups) await(g *group) <-chan struct{} {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if g.reset(gs.epoch); g.live {
		return nil
	}
	if g.ready == nil {
		g.ready = make(chan struct{})
	}
	gs.markDirty(g)
	return g.ready
}

// remove removes a member. A second call does nothing.
func (gs *groups) remove(g *group, m *member) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	i := slices.Index(g.members, m)
	if i < 0 {
		return
	}
	g.members = append(slices.Clone(g.members[:i]), g.members[i+1:]...)
	if len(g.members) > 0 {
		return
	}
	g.members, g.ready = nil, nil
	g.reset(gs.epoch)
	if !gs.deleteIfUnused(g) {
		gs.markDirty(g)
	}
}

// members returns the members of a group. The caller must not modify the slice.
func (gs *groups) members(name string) []*member {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if g := gs.byName[name]; g != nil {
		return g.members
	}
	return nil
}

// allMembers returns the members of each group.
func (gs *groups) allMembers() [][]*member {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	all := make([][]*member, 0, len(gs.byName))
	for _, g := range gs.byName {
		all = append(all, g.members)
	}
	return all
}

// connect begins a new connection, on which every group has to be subscribed. It returns
// the number of the connection.
func (gs *groups) connect() uint32 {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.nextEpoch()
	clear(gs.dirty)
	gs.dirty = gs.dirty[:0]
	for _, g := range gs.byName {
		g.reset(gs.epoch)
		if g.queued = false; !gs.deleteIfUnused(g) {
			gs.markDirty(g)
		}
	}
	return gs.epoch
}

// disconnect voids the state of the lost connection.
func (gs *groups) disconnect() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.nextEpoch()
}

func (gs *groups) nextEpoch() {
	gs.epoch++
	gs.metrics.groups.Sub(float64(gs.live))
	gs.unconfirmed, gs.live = 0, 0
}

// reset voids the state of the group on an earlier connection.
func (g *group) reset(epoch uint32) {
	if g.epoch != epoch {
		g.epoch, g.unconfirmed, g.subscribed, g.live = epoch, 0, false, false
	}
}

// deleteIfUnused deletes a group that has neither members nor a subscription, and
// reports whether it is such a group.
func (gs *groups) deleteIfUnused(g *group) bool {
	unused := len(g.members) == 0 && !g.subscribed && g.unconfirmed == 0
	if unused && gs.byName[g.name] == g {
		delete(gs.byName, g.name)
	}
	return unused
}

func (gs *groups) markDirty(g *group) {
	if g.queued {
		return
	}
	g.queued = true
	gs.dirty = append(gs.dirty, g)
	if gs.unconfirmed == 0 {
		gs.signal()
	}
}

func (gs *groups) signal() {
	select {
	case gs.changed <- struct{}{}:
	default:
	}
}

// takeChanges returns the groups to subscribe and to unsubscribe now, and counts them
// as unconfirmed. It returns none while confirmations are missing, so that joins which
// arrive in the meantime are subscribed together.
func (gs *groups) takeChanges() (subscribe, unsubscribe []string) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.unconfirmed > 0 {
		return nil, nil
	}
	for _, g := range gs.dirty {
		g.queued = false
		g.reset(gs.epoch)
		if wanted := len(g.members) > 0; wanted == g.subscribed {
			gs.deleteIfUnused(g)
			continue
		} else if g.subscribed = wanted; wanted {
			subscribe = append(subscribe, g.name)
		} else {
			unsubscribe = append(unsubscribe, g.name)
			gs.setLive(g, false)
		}
		g.unconfirmed++
		gs.unconfirmed++
	}
	if clear(gs.dirty); cap(gs.dirty) > 4096 {
		gs.dirty = nil
	}
	gs.dirty = gs.dirty[:0]
	gs.progress = time.Now()
	return subscribe, unsubscribe
}

func (gs *groups) setLive(g *group, live bool) {
	if g.live == live {
		return
	}
	if g.live = live; live {
		gs.live++
		gs.metrics.groups.Inc()
	} else {
		gs.live--
		gs.metrics.groups.Dec()
	}
}

var errUnexpected = fault{errors.New("unexpected confirmation for a group"), causeOther}

// confirm handles the confirmation of SUBSCRIBE, or else of UNSUBSCRIBE. The error means
// that no such confirmation was expected.
func (gs *groups) confirm(name string, subscribed bool) error {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.byName[name]
	if g == nil || g.epoch != gs.epoch || g.unconfirmed == 0 {
		return errUnexpected
	}
	g.unconfirmed--
	gs.unconfirmed--
	gs.progress = time.Now()
	if gs.unconfirmed == 0 && len(gs.dirty) > 0 {
		gs.signal()
	}
	if g.unconfirmed > 0 {
		return nil // of an earlier command; only the last one matters
	}
	if g.subscribed != subscribed {
		return errUnexpected
	}
	if !g.subscribed {
		gs.deleteIfUnused(g)
		return nil
	}
	gs.setLive(g, true)
	if g.ready != nil {
		close(g.ready)
		g.ready = nil
	}
	return nil
}

// overdue reports whether Redis has stopped confirming.
func (gs *groups) overdue() bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.unconfirmed > 0 && time.Since(gs.progress) > gs.silence
}
