package diagnose

import (
	"fmt"
	"slices"
	"time"
)

func (f *Facts) silence(kind string) Silence {
	at := slices.IndexFunc(f.Idle, func(s Silence) bool { return s.Kind == kind })
	if at < 0 {
		return Silence{}
	}
	return f.Idle[at]
}

// lifetime compares a busy socket with a silent one: both end at one age.
func lifetime(f *Facts) []string {
	busy, pinged := f.silence("busy"), f.silence("pinged")
	return some(busy.Cut, fmt.Sprintf("a busy socket was cut at the age of %.0f s, and a silent one %s: idleness is not the reason", busy.AgeS, endText(pinged)))
}

func endText(s Silence) string {
	if !s.Ended {
		return fmt.Sprintf("stayed open for %.0f s", s.WatchS)
	}
	return fmt.Sprintf("at the age of %.0f s", s.AgeS)
}

func idleTimeout(f *Facts) []string {
	pinged, unpinged := f.silence("pinged"), f.silence("unpinged")
	switch {
	case f.silence("busy").Cut:
		return nil
	case pinged.Cut:
		return []string{silentText(pinged) + f.busyText()}
	}
	return some(unpinged.Cut && pinged.Pings == 0 && unpinged.Kind != "", silentText(unpinged)+f.busyText())
}

// busyText says how long the socket with traffic was open, or nothing if the server closed it.
func (f *Facts) busyText() string {
	if busy := f.silence("busy"); busy.Kind != "" && !busy.Ended {
		return ", and one with traffic " + endText(busy)
	}
	return ""
}

// harmlessTimeout is a timeout that only a socket without pings meets.
func harmlessTimeout(f *Facts) []string {
	pinged, unpinged := f.silence("pinged"), f.silence("unpinged")
	return some(unpinged.Cut && !pinged.Cut && pinged.Pings > 0, fmt.Sprintf("%s; the server's pings (%d in %.0f s) prevent that%s",
		silentText(unpinged), pinged.Pings, pinged.WatchS, f.busyText()))
}

func silentText(s Silence) string {
	return "a proxy or firewall closes connections that are silent for about " + durationText(time.Duration(s.SilentS*float64(time.Second)))
}

// maxSkew is more than networks and proxies can add to the measured skew, and more than the
// server tolerates.
const maxSkew = 30 * time.Second

func skewText(ms int64) string {
	skew := time.Duration(ms) * time.Millisecond
	switch {
	case skew.Abs() < time.Second:
		return "the clocks of this machine and the server differ by less than a second"
	case skew > 0:
		return "the clock of this machine is " + durationText(skew) + " behind the server's"
	}
	return "the clock of this machine is " + durationText(-skew) + " ahead of the server's"
}

// durationText formats a duration with about three digits.
func durationText(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return "less than 1ms"
}
