package diagnose

import (
	"slices"
	"strings"
)

// next says what a run without a fault does not cover, and what to run for it.
func next(r *Report) string {
	leftOut := func(step string) bool {
		return slices.ContainsFunc(r.NotTested, func(s string) bool { return strings.HasPrefix(s, step+": ") })
	}
	lost := []string{"the last position of a map"} // no probe sends a position, which users would see
	var with []string
	if !r.Facts.any(func(a *Attempt) bool { return a.Probe == "history" }) {
		lost = append(lost, "whether all replicas use the same database")
	}
	for _, more := range []struct{ step, lost, with string }{
		{"app", "the API", "--token-file or --identifier"},
		{"handshake", "rooms", "the URL of a room"},
		{"stored", "stored messages", "--send"},
		{"inside", "what the replicas know", "--ops for each replica"},
	} {
		if leftOut(more.step) {
			lost, with = append(lost, more.lost), append(with, more.with)
		}
	}
	text := ""
	if leftOut("idle") {
		text = "If open connections end with 1006, run diagnose with --idle 90s: it finds proxies that cut silent connections. "
	}
	text += "Not covered: " + strings.Join(lost, ", ") + ". Next: "
	if len(with) > 0 {
		text += "roomspa diagnose with " + strings.Join(with, ", ") + "; "
	}
	return text + "roomspa check with the environment of each replica, and compare the addresses that they print."
}
