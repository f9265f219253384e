package judge

import "fmt"

// connect begins a socket. From its first frame on it has to be the stored
// sequence, from the point that it named or from what was the last message then.
func (v *view) connect(e *Entry) {
	v.close()
	v.sockets++
	v.ref, v.open, v.missing, v.replaying = e.Ref, true, nil, e.Since != nil
	v.next = e.Seq + 1
	if e.Since != nil {
		v.resumeFrom, v.resumeTo = *e.Since+1, e.Seq
		v.next = v.resumeFrom
		if *e.Since > e.Seq {
			v.found(BadResume, e, fmt.Sprintf("the client had seen %d, and the server's last seq was lower", *e.Since))
		}
	}
	if !v.begun {
		v.begun, v.highest = true, v.next-1
	}
}

func (v *view) resumed(e *Entry) {
	switch {
	case e.Ref != v.ref || !v.replaying:
		v.found(BadResume, e, "nobody had asked for a replay")
	case e.Reset:
		v.found(BadResume, e, "the server says that it has lost messages")
	case e.From != v.resumeFrom || e.Seq != v.resumeTo:
		v.found(BadResume, e, fmt.Sprintf("the replay was said to be %d to %d, asked for was %d to %d", e.From, e.Seq, v.resumeFrom, v.resumeTo))
	case v.next <= e.Seq:
		v.found(Hole, e, fmt.Sprintf("the replay is said to be over, and %d has not come", v.next))
	}
	v.replaying = false
}

// onSocket judges a message by those that came before it on the same socket.
func (v *view) onSocket(e *Entry) {
	switch {
	case !v.open || e.Ref != v.ref:
		v.found(BrokenRecord, e, "a message came on a socket that was not connected")
		return
	case v.replaying && e.Seq > v.resumeTo:
		v.found(BadResume, e, "a live message came before the replay was over")
	}
	switch {
	case e.Seq == v.next:
		v.next++
	case e.Seq > v.next:
		if v.missing == nil {
			v.missing = map[int64]bool{}
		}
		for seq := v.next; seq < e.Seq && seq < v.next+1000; seq++ { // a bound against nonsense
			v.missing[seq] = true
		}
		v.next = e.Seq + 1
	case v.missing[e.Seq]:
		delete(v.missing, e.Seq)
		v.found(Reordered, e, fmt.Sprintf("%d came before it", v.next-1))
	default:
		v.found(Repeated, e, fmt.Sprintf("the socket had it before; next was %d", v.next))
	}
}

// close ends a socket: what it has skipped did not come late, but never.
func (v *view) close() {
	if !v.open {
		return
	}
	v.open = false
	if len(v.missing) == 0 {
		return
	}
	first := v.next
	for seq := range v.missing {
		first = min(first, seq)
	}
	v.found(Hole, &Entry{Ref: v.ref, Seq: first}, fmt.Sprintf("the socket went on beyond it; %d messages are missing", len(v.missing)))
}
