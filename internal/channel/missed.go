package redis

// subscribed is called when every group is confirmed on a new connection. If it
// is not the first, what was published since the last one was lost has been
// missed.
func (l *Layer) subscribed(again bool) {
	l.set(hearing, nil)
	if again {
		l.metrics.resubscriptions.Inc()
		l.tellMissed()
	}
}

// set notes whether a part works. While one did not, members have put off what
// they had to look for; so when both work again they are told, whichever came last.
func (l *Layer) set(part int, err error) {
	if l.health.set(part, err) {
		l.tellMissed()
	}
}

func (l *Layer) tellMissed() {
	for _, members := range l.groups.everybody() {
		for _, m := range members {
			m.missed()
		}
	}
}
