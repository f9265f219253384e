package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Replica is what an ops listener reports at /readyz. Replicas of earlier releases report less.
type Replica struct {
	Address string `json:"address"`
	Error   string `json:"error,omitempty"` // why it could not be read

	Name     string    `json:"replica"`
	Version  string    `json:"version"`
	Ready    bool      `json:"ready"`
	Draining bool      `json:"draining,omitempty"`
	Checks   []Check   `json:"checks,omitempty"`
	Failures []Failure `json:"failures,omitempty"`
	Warnings []Warning `json:"warnings,omitempty"`
}

// A Check is one check of /readyz.
type Check struct {
	Name    string  `json:"name"`
	OK      bool    `json:"ok"`
	Detail  string  `json:"detail,omitempty"`
	Error   string  `json:"error,omitempty"`
	Warning string  `json:"warning,omitempty"`
	Cause   string  `json:"cause,omitempty"`
	Advice  string  `json:"advice,omitempty"`
	TookMS  float64 `json:"took_ms"`
}

// A Failure is one cause for which operations of a replica failed in the last ten minutes.
type Failure struct {
	Kind   string `json:"kind"` // handshake, send, rest, ticket, sign_in or location
	Cause  string `json:"cause"`
	Side   string `json:"side"` // server or client
	Count  int    `json:"count"`
	Of     int    `json:"of"`
	First  string `json:"first"`
	Last   string `json:"last"`
	Text   string `json:"text"`
	Advice string `json:"advice"`
}

// A Warning is a finding of a replica about all replicas or its settings.
type Warning struct {
	Cause  string `json:"cause"`
	Text   string `json:"text"`
	Advice string `json:"advice"`
}

// A Story is why a handshake failed, as the replica tells.
type Story struct {
	Ref    string `json:"ref"`
	Step   string `json:"step"`
	Detail string `json:"detail,omitempty"`
	Cause  string `json:"cause,omitempty"`
}

// harmless are causes in warnings of a replica for which no user fails, or which the probes notice
// themselves if a user does.
var harmless = []string{"redis_shared", "proxy_cuts_idle", "unreadable_forwarded_for", "untrusted_proxy", "secret_file_unusable", "database_restored", "mixed_versions", "replica_hung"}

// explainReplicas finds causes in what the replicas report.
func explainReplicas(f *Facts) (all []Finding) {
	for _, s := range f.Stories {
		// A story explains what the client was told vaguely.
		told := f.any(func(a *Attempt) bool {
			return a.Ref == s.Ref && slices.Contains(vague, a.Code) && a.Code != "unavailable"
		})
		if word := specific(s.Cause, s.Detail); word != "" && told && !slices.Contains(vague, word) {
			all = append(all, Finding{Cause: word, Level: fault, Side: sideOf(word), Ref: s.Ref, Evidence: []string{s.text()}})
		}
	}
	for i := range f.Replicas {
		r := &f.Replicas[i]
		switch {
		case r.Error != "":
			all = append(all, Finding{Cause: "ops_unreachable", Level: fault, Side: operator, Evidence: []string{r.Address + ": " + r.Error}})
			continue
		case r.Draining:
			all = append(all, Finding{Cause: "draining", Level: note, Side: operator, Evidence: []string{"replica " + r.Name + " is shutting down"}})
		}
		for _, c := range r.Checks {
			if n, ok := r.explainCheck(c); ok {
				all = append(all, n)
			}
		}
		for _, x := range r.newWarnings() {
			all = append(all, r.finding(x.Cause, x.Text, x.Advice))
		}
	}
	all = append(all, explainFailures(f)...)
	all = append(all, unreadyReplicas(f)...)
	if versions := f.versions(); len(versions) > 1 {
		all = append(all, Finding{Cause: "mixed_versions", Level: note, Side: operator, Evidence: []string{strings.Join(versions, ", ") + " run, as during an update"}})
	}
	return all
}

func (s Story) text() string {
	text := "the handshake failed at the step " + truncate(s.Step)
	if s.Detail != "" {
		text += ": " + s.Detail
	}
	return text
}

// explainCheck explains a check that failed, or that warns.
func (r *Replica) explainCheck(c Check) (Finding, bool) {
	if c.OK && c.Cause == "" {
		return Finding{}, false
	}
	text := c.Name + ": " + cmp.Or(c.Error, c.Warning, c.Detail)
	if c.OK {
		return r.finding(c.Cause, text, c.Advice), true
	}
	return Finding{Cause: known(c.Cause, c.Advice, otherOf(c.Name)), Level: fault, Side: operator, Evidence: []string{"replica " + r.Name + " is not ready: " + text}, Cure: c.Advice}, true
}

// otherOf is the word for a cause of a newer version.
func otherOf(name string) string {
	if name == "postgres" {
		return "postgres_other"
	}
	return "redis_other"
}

func (r *Replica) finding(word, text, advice string) Finding {
	level := fault
	if slices.Contains(harmless, word) {
		level = warning
	}
	return Finding{Cause: known(word, advice, "replica_warning"), Level: level, Side: operator, Evidence: []string{"replica " + r.Name + ": " + text}, Cure: advice}
}

// Limits of failures of the server's side in ten minutes, above which users are harmed.
const (
	maxFailures     = 2
	maxFailureShare = 0.001
)

// newWarnings returns the warnings that do not only repeat a failure or a check.
func (r *Replica) newWarnings() []Warning {
	return slices.DeleteFunc(slices.Clone(r.Warnings), func(x Warning) bool {
		return slices.ContainsFunc(r.Failures, func(y Failure) bool { return x.Cause == y.Cause }) ||
			slices.ContainsFunc(r.Checks, func(y Check) bool { return x.Text == y.Warning || x.Text == y.Error })
	})
}

// explainFailures judges the failures of all replicas, the latest first: the earlier ones may have
// ended.
func explainFailures(f *Facts) (all []Finding) {
	type failure struct {
		last    string
		finding Finding
	}
	var sorted []failure
	for i := range f.Replicas {
		for _, x := range f.Replicas[i].Failures {
			if x, left := f.withoutOwn(f.Replicas[i].Name, x); left {
				sorted = append(sorted, failure{x.Last, f.Replicas[i].explainFailure(x)})
			}
		}
	}
	slices.SortStableFunc(sorted, func(a, b failure) int { return cmp.Compare(b.last, a.last) })
	for _, x := range sorted {
		all = append(all, x.finding)
	}
	return all
}

// explainFailure judges failures of the server's side, and lists those of clients.
func (r *Replica) explainFailure(x Failure) Finding {
	text := fmt.Sprintf("replica %s: %s failed", r.Name, x.share())
	if at, err := time.Parse(time.RFC3339, x.Last); err == nil {
		text += ", the last one at " + at.UTC().Format(time.TimeOnly) + " UTC"
	}
	n := Finding{Cause: known(x.Cause, x.Advice, "replica_warning"), Level: fault, Side: operator, Evidence: []string{text + extra(x.Text)}, Cure: x.Advice}
	switch few := x.Count <= maxFailures && (x.Of == 0 || float64(x.Count) <= maxFailureShare*float64(x.Of)); {
	case x.Side == "client":
		n.Level, n.Side = note, byClient
		n.Evidence[0] = fmt.Sprintf("clients of replica %s: %s", r.Name, x.share())
	case few:
		n.Level = note
	}
	return n
}

// unreadyReplicas explains greetings that say that the replica is not ready.
func unreadyReplicas(f *Facts) (all []Finding) {
	var seen []string
	for _, a := range f.Attempts {
		if line := "replica " + a.Replica + " answers, and says that it is not ready: " + a.NotReady; a.NotReady != "" && !slices.Contains(seen, line) {
			seen = append(seen, line)
			all = append(all, Finding{Cause: known(a.NotReady, "", cmp.Or(specific("unavailable", a.NotReady), "replica_warning")), Level: fault, Side: operator, Evidence: []string{line}})
		}
	}
	return all
}

func (f *Facts) versions() []string {
	var versions []string
	for _, r := range f.Replicas {
		if r.Version != "" && !slices.Contains(versions, r.Version) {
			versions = append(versions, r.Version)
		}
	}
	return versions
}
