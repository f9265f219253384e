package redis

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// groups knows the groups that this replica is a member of, and for each what
// the current subscriber connection has been told about it. Redis handles the
// commands of a connection in order and confirms each, so a group is subscribed
// when the last thing sent was SUBSCRIBE and nothing is unconfirmed.
type groups struct {
	metrics *metrics
	wake    chan struct{} // there may be something to tell Redis

	mu          sync.Mutex
	byChannel   map[string]*group
	dirty       []*group  // joined or left since Redis was last told
	epoch       uint32    // of the connection; what is older is void
	unconfirmed int       // commands on this connection, counted by channel
	progress    time.Time // of the last confirmation, or of the command since
	live        int       // groups that are subscribed
}

// A group is small: a replica has tens of thousands.
type group struct {
	channel string
	members []*member     // never changed in place: the receive loop reads it unlocked
	ready   chan struct{} // closed when subscribed; nil if nobody waits
	epoch   uint32        // to which the following belong

	unconfirmed int32
	subscribed  bool // the last command was SUBSCRIBE
	live        bool // and it is confirmed
	queued      bool // in dirty
}

type member struct {
	deliver func(payload []byte)
	missed  func()
}

func newGroups(m *metrics) *groups {
	return &groups{metrics: m, byChannel: make(map[string]*group), wake: make(chan struct{}, 1)}
}

// add adds a member.
func (gs *groups) add(channel string, m *member) *group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.byChannel[channel]
	if g == nil {
		g = &group{channel: channel, epoch: gs.epoch}
		gs.byChannel[channel] = g
	}
	g.members = append(slices.Clip(g.members), m)
	return g
}

// await returns a channel that is closed when the group, which has members, is
// subscribed; nil where it is already.
func (gs *groups) await(g *group) <-chan struct{} {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if g.at(gs.epoch); g.live {
		return nil
	}
	if g.ready == nil {
		g.ready = make(chan struct{})
	}
	gs.mark(g)
	return g.ready
}

// remove removes a member, if it is still there.
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
	g.at(gs.epoch)
	if !gs.forget(g) {
		gs.mark(g)
	}
}

// members returns who is in a group. The slice must not be changed.
func (gs *groups) members(channel string) []*member {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if g := gs.byChannel[channel]; g != nil {
		return g.members
	}
	return nil
}

// everybody returns the members of all groups.
func (gs *groups) everybody() [][]*member {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	all := make([][]*member, 0, len(gs.byChannel))
	for _, g := range gs.byChannel {
		all = append(all, g.members)
	}
	return all
}

// begin starts on a new connection, on which every group has to be subscribed.
func (gs *groups) begin() uint32 {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.voidLocked()
	clear(gs.dirty)
	gs.dirty = gs.dirty[:0]
	for _, g := range gs.byChannel {
		g.at(gs.epoch)
		if g.queued = false; !gs.forget(g) {
			gs.mark(g)
		}
	}
	return gs.epoch
}

// void forgets what the lost connection was told.
func (gs *groups) void() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.voidLocked()
}

func (gs *groups) voidLocked() {
	gs.epoch++
	gs.unconfirmed, gs.live = 0, 0
	gs.metrics.groups.Set(0)
}

// at forgets what an earlier connection was told about the group.
func (g *group) at(epoch uint32) {
	if g.epoch != epoch {
		g.epoch, g.unconfirmed, g.subscribed, g.live = epoch, 0, false, false
	}
}

// forget removes a group that has no members and that Redis knows nothing of.
func (gs *groups) forget(g *group) bool {
	idle := len(g.members) == 0 && !g.subscribed && g.unconfirmed == 0
	if idle && gs.byChannel[g.channel] == g {
		delete(gs.byChannel, g.channel)
	}
	return idle
}

func (gs *groups) mark(g *group) {
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
	case gs.wake <- struct{}{}:
	default:
	}
}

// take returns the channels that Redis has to be told about now, and counts them
// as told. While it still has to confirm the last ones there are none: what is
// joined meanwhile is subscribed together.
func (gs *groups) take() (subscribe, unsubscribe []string) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.unconfirmed > 0 {
		return nil, nil
	}
	for _, g := range gs.dirty {
		g.queued = false
		g.at(gs.epoch)
		if wanted := len(g.members) > 0; wanted == g.subscribed {
			gs.forget(g)
			continue
		} else if g.subscribed = wanted; wanted {
			subscribe = append(subscribe, g.channel)
		} else {
			unsubscribe = append(unsubscribe, g.channel)
			gs.dead(g)
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

func (gs *groups) dead(g *group) {
	if g.live {
		g.live = false
		gs.live--
		gs.metrics.groups.Set(float64(gs.live))
	}
}

// confirm takes a confirmation of Redis. An error says that it was not expected.
func (gs *groups) confirm(command, channel string) error {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.byChannel[channel]
	if g == nil || g.epoch != gs.epoch || g.unconfirmed == 0 {
		return fmt.Errorf("unexpected %s of a channel", command)
	}
	g.unconfirmed--
	gs.unconfirmed--
	gs.progress = time.Now()
	if gs.unconfirmed == 0 && len(gs.dirty) > 0 {
		gs.signal()
	}
	if g.unconfirmed > 0 {
		return nil // an earlier command; what counts is the last one
	}
	if g.subscribed != (command == "subscribe") {
		return fmt.Errorf("unexpected %s of a channel", command)
	}
	if !g.subscribed {
		gs.forget(g)
		return nil
	}
	if !g.live {
		g.live = true
		gs.live++
		gs.metrics.groups.Set(float64(gs.live))
	}
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
	return gs.unconfirmed > 0 && time.Since(gs.progress) > silence
}
