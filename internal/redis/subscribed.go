//go:build !mutant_resubscription_without_missed

package redis

// subscribed is called when every group is confirmed on a new connection. If it
// is not the first, what was published since the last one was lost has been
// missed.
func (l *Layer) subscribed(again bool) {
	l.health.set(hearing, nil)
	if !again {
		return
	}
	l.metrics.resubscriptions.Inc()
	for _, members := range l.groups.everybody() {
		for _, m := range members {
			m.missed()
		}
	}
}
