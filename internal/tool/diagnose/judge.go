package diagnose

import (
	"cmp"
	"slices"
	"strings"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/cause"
)

// A Finding is one cause that the facts show.
type Finding struct {
	Cause    string   `json:"cause"` // a word of package cause
	Level    string   `json:"level"` // fault, warning or note
	Side     string   `json:"side"`  // who can act: network, client, ingress or operator
	Evidence []string `json:"evidence"`
	Cure     string   `json:"cure"`
	Ref      string   `json:"ref,omitempty"` // the server's reference of a connection that failed
}

// Levels of findings. Users fail because of a fault, may notice what a warning says, and do not
// notice what a note says.
const (
	fault   = "fault"
	warning = "warning"
	note    = "note"
)

// Sides that can act.
const (
	network  = "network"  // of this machine: its administrator, or its user
	byClient = "client"   // the app, or who calls it
	ingress  = "ingress"  // proxies, balancers and firewalls in front of roomspa
	operator = "operator" // of roomspa and its stores
)

// judge returns what is wrong, the cause that explains most first. It is a pure function.
func judge(f *Facts) []Finding {
	var all []Finding
	add := func(n Finding) {
		n.Cure = cmp.Or(n.Cure, cause.Cure(n.Cause))
		at := slices.IndexFunc(all, func(o Finding) bool { return o.Cause == n.Cause && (o.Side == n.Side || n.Cause != "slow") })
		if at < 0 {
			all = append(all, n)
			return
		}
		o := &all[at]
		if general := cause.Cure(n.Cause); o.Cure == general && n.Cure != general { // a replica knows better
			o.Cure = n.Cure
		}
		o.Ref = cmp.Or(o.Ref, n.Ref)
		if slices.Index(levels, n.Level) < slices.Index(levels, o.Level) {
			o.Level = n.Level
		}
		for _, e := range n.Evidence {
			if !slices.Contains(o.Evidence, e) && len(o.Evidence) < 2*maxEvidence {
				o.Evidence = append(o.Evidence, e)
			}
		}
	}
	for _, r := range factRules {
		if evidence := r.see(f); len(evidence) > 0 {
			add(Finding{Cause: r.cause, Level: r.level, Side: r.side, Evidence: evidence, Cure: r.cureOf(f)})
		}
	}
	if t := f.Token; t != nil && t.Refusal == auth.TokenInvalid {
		word := subCause(t.Detail)
		add(Finding{Cause: word, Level: fault, Side: tokenSide(word), Evidence: []string{t.Detail}})
	}
	for _, n := range explainAttempts(f) {
		add(n)
	}
	for _, n := range explainReplicas(f) {
		add(n)
	}
	for _, n := range explainSlow(f) {
		add(n)
	}
	return rank(all)
}

var levels = []string{fault, warning, note}

// vague are causes that another finding explains, if there is one: the last the least.
var vague = []string{
	"database_unavailable", "channel_layer_unavailable", "internal", "busy", "unavailable", "bad_gateway", "gateway_timeout",
	"abnormal", "draining", "no_answer", "connection_refused", "redis_other", "postgres_other",
	"redis_connection_lost", "postgres_connection_lost", "deployment_unread", "ops_unreachable", unexpected,
}

// rank sorts findings by level, and by how much they explain.
func rank(all []Finding) []Finding {
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(slices.Index(levels, a.Level), slices.Index(levels, b.Level)),
			cmp.Compare(slices.Index(vague, a.Cause), slices.Index(vague, b.Cause)),
		)
	})
	// That an ops listener does not answer either is among the evidence of these.
	if slices.ContainsFunc(all, func(n Finding) bool { return n.Cause == "replica_hung" || n.Cause == "no_answer" }) {
		all = slices.DeleteFunc(all, func(n Finding) bool { return n.Cause == "ops_unreachable" })
	}
	// Replicas of two databases take each other for strangers in Redis, and do not know their tickets.
	if slices.ContainsFunc(all, func(n Finding) bool { return n.Cause == splitDatabase }) {
		all = slices.DeleteFunc(all, func(n Finding) bool { return n.Cause == "split_channel_layer" || n.Cause == "replicas_differ" })
	}
	// The proxy's answer stands, but the replica's cause says what to do about it.
	at := slices.IndexFunc(all, func(n Finding) bool { return n.Cause == "no_ready_replica" && n.Level == fault })
	why := slices.IndexFunc(all, func(n Finding) bool {
		return n.Side == operator && n.Level == fault && n.Cause != "no_ready_replica" && n.Cause != "ops_unreachable"
	})
	if at < 0 || why < 0 {
		return all
	}
	n := all[at]
	n.Cure, n.Side = all[why].Cure, operator
	n.Evidence = append(n.Evidence, all[why].Cause+": "+strings.Join(all[why].Evidence, "; "))
	return append([]Finding{n}, slices.Delete(slices.Clone(all), at, at+1)...)
}

// comparing are the probes that are only compared with others. Their failures are no findings.
var comparing = []string{"size", "again", "beside", "direct", "frame"}

// explainAttempts finds the cause of each attempt that failed.
func explainAttempts(f *Facts) []Finding {
	var all []Finding
	grouped := map[string][]*Attempt{}
	sides := map[string]string{}
	var words []string
	for i := range f.Attempts {
		a := &f.Attempts[i]
		elsewhere := a.Probe == "routes" && f.classic() && !strings.HasPrefix(a.Path, "/ws/") // of the predecessor, on the same host
		if a.OK || elsewhere || slices.Contains(comparing, a.Probe) {
			continue
		}
		word, side := explain(f, a)
		if grouped[word] == nil {
			words, sides[word] = append(words, word), side
		}
		grouped[word] = append(grouped[word], a)
	}
	for _, word := range words {
		n := Finding{Cause: word, Level: fault, Side: sides[word], Evidence: describe(f, grouped[word])}
		for _, a := range grouped[word] {
			n.Ref = cmp.Or(n.Ref, a.Ref)
		}
		if add := besides[word]; add != nil {
			n.Evidence = append(n.Evidence, add(f)...)
		}
		all = append(all, n)
	}
	return all
}

func explain(f *Facts, a *Attempt) (word, side string) {
	for _, r := range attemptRules {
		if r.when(f, a) {
			return r.cause, r.side
		}
	}
	if a.Code == auth.TokenInvalid {
		word = f.tokenFault(a)
		return word, tokenSide(word)
	}
	if word := specific(a.Code, a.Detail); word != "" {
		return word, sideOf(word)
	}
	return unexpected, ingress
}

// specific returns the most specific word that an answer of roomspa has. A code such as
// channel_layer_unavailable may have its cause in the detail.
func specific(code, detail string) string {
	if slices.Contains(vague, code) {
		for _, word := range strings.FieldsFunc(detail, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
			if _, known := cause.Find(word); known && storeWord(word) {
				return word
			}
		}
	}
	if _, known := cause.Find(code); known {
		return code
	}
	return ""
}

func storeWord(word string) bool {
	return strings.HasPrefix(word, "redis_") || strings.HasPrefix(word, "postgres_") || strings.HasPrefix(word, "schema_")
}

// sideOf returns who can act on a word that roomspa itself has sent.
func sideOf(word string) string {
	if storeWord(word) || slices.Contains(vague, word) || word == "too_many_open_files" || word == splitDatabase {
		return operator
	}
	return byClient
}
