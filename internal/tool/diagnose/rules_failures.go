package diagnose

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/roomspa/roomspa/internal/auth"
)

// attempted says in words what failed.
var attempted = map[string]string{
	"handshake": "handshakes", "send": "sends of messages", "rest": "REST requests", "ticket": "requests for a ticket",
	"sign_in": "sign-ins and token refreshes", "location": "positions",
}

// share says how many attempts a failure concerns.
func (x Failure) share() string {
	what := cmp.Or(attempted[x.Kind], strings.ReplaceAll(x.Kind, "_", " "))
	return fmt.Sprintf("%d of %d %s in the last 10 minutes", x.Count, max(x.Of, x.Count), what)
}

// withoutOwn subtracts from the failures of a replica's clients those of this run. It reports
// whether any are left. Some probes are refused on purpose in every run, so what is left of these
// refusals is mostly of earlier runs.
func (f *Facts) withoutOwn(replica string, x Failure) (Failure, bool) {
	if x.Side != "client" {
		return x, true
	}
	own, onPurpose := 0, false
	for _, a := range f.attempts(func(a *Attempt) bool { return a.Ours && a.kind() == x.Kind }) {
		if !a.refusedFor(x.Cause) {
			continue
		}
		onPurpose = onPurpose || a.OK
		if a.Replica == replica || a.Replica == "" {
			own++
		}
	}
	x.Count, x.Of = x.Count-own, max(x.Of-own, 0)
	return x, x.Count > 0 && !onPurpose
}

// refusedFor reports whether roomspa refused an attempt for a reason.
func (a *Attempt) refusedFor(word string) bool {
	return a.Code == word || a.Code == auth.TokenInvalid && (subCause(a.Detail) == word || subCause(a.Detail) == auth.TokenInvalid)
}

// kind is the word under which a replica counts an attempt.
func (a *Attempt) kind() string {
	switch path, _, _ := strings.Cut(a.Path, "?"); {
	case strings.HasPrefix(path, "/ws/"):
		return "handshake"
	case path == "/api/ticket/":
		return "ticket"
	case path == "/login/" || path == "/token/refresh/" || path == "/logout/":
		return "sign_in"
	}
	return "rest"
}
