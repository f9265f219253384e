package channel

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// forgetAfter is how long another deployment is remembered: three announcements.
	forgetAfter = 35 * time.Second
	// maxOthers is the maximum number of other deployments that are remembered.
	maxOthers = 16
)

// deployments tracks the deployments that use the same Redis and prefix, whatever their
// database number: Pub/Sub has none. They share one channel, on which each announces its id,
// unsealed. What is heard there causes nothing but a finding.
type deployments struct {
	channel string

	mu     sync.Mutex
	own    string
	former string               // the own id before the last change: other replicas may still use it
	heard  map[string]time.Time // by id, the own one included
}

// ExchangeDeployments announces the own deployment, and returns the ids of other ones that
// use the same Redis and prefix and were heard within the last half minute. Call it every
// 10 s. It does not block.
func (l *Layer) ExchangeDeployments() (others []string) {
	ring := l.client.Ring()
	if ring == nil {
		return nil
	}
	d := &l.deployments
	d.setOwn(ring.ID)
	l.shards[0].pipeline.Announce(d.channel, []byte(ring.ID)) // the next call makes up for a failure
	return d.others(time.Now())
}

func (d *deployments) setOwn(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.own != id {
		d.own, d.former = id, d.own
	}
}

// hear notes an announcement. Anybody can send one, so only ids count, and few of them.
func (d *deployments) hear(id string, now time.Time) {
	const hexDigits = "0123456789abcdef"
	if len(id) != 16 || strings.Trim(id, hexDigits) != "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	if _, known := d.heard[id]; !known && len(d.heard) >= maxOthers {
		return
	}
	if d.heard == nil {
		d.heard = map[string]time.Time{}
	}
	d.heard[id] = now
}

// others returns the ids of the other deployments, sorted.
func (d *deployments) others(now time.Time) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	ids := slices.Sorted(maps.Keys(d.heard))
	return slices.DeleteFunc(ids, func(id string) bool { return id == d.own || id == d.former })
}

func (d *deployments) forget(now time.Time) {
	maps.DeleteFunc(d.heard, func(_ string, at time.Time) bool { return now.Sub(at) > forgetAfter })
}
