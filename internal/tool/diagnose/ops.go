package diagnose

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
)

// An opsStatus is what an ops listener reports.
type opsStatus struct {
	address string
	err     string // why it could not be read

	Replica  string `json:"replica"`
	Version  string `json:"version"`
	Draining bool   `json:"draining"`
	Checks   []struct {
		Name    string `json:"name"`
		OK      bool   `json:"ok"`
		Detail  string `json:"detail"`
		Error   string `json:"error"`
		Warning string `json:"warning"`
		Cause   string `json:"cause"`
	} `json:"checks"`

	databaseErrors map[string]float64 // failed database operations, by cause
}

// readOps reads all ops listeners concurrently.
func (d *diagnosis) readOps(ctx context.Context) []opsStatus {
	all := make([]opsStatus, len(d.Ops))
	var wg sync.WaitGroup
	for i, address := range d.Ops {
		wg.Go(func() { all[i] = d.readOpsListener(ctx, strings.TrimRight(address, "/")) })
	}
	wg.Wait()
	return all
}

func (d *diagnosis) readOpsListener(ctx context.Context, address string) opsStatus {
	const limit = 4 << 20
	s := opsStatus{address: address, databaseErrors: map[string]float64{}}
	body, err := d.fetch(ctx, address+"/readyz", limit)
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	if err != nil {
		s.err = errorText(err)
		return s
	}
	metrics, err := d.fetch(ctx, address+"/metrics", limit)
	if err != nil {
		return s // readiness is useful without metrics
	}
	lines := bufio.NewScanner(bytes.NewReader(metrics))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), `roomspa_database_errors_total{cause="`)
		if word, value, cut := strings.Cut(rest, `"} `); ok && cut {
			s.databaseErrors[word], _ = strconv.ParseFloat(value, 64)
		}
	}
	return s
}

// inspectOps looks for problems in what the ops listeners report. found is the problem that
// the client's side has found, or nil.
func (d *diagnosis) inspectOps(ctx context.Context, found *problem) (string, error) {
	all := d.readOps(ctx)
	for range 3 { // a lost connection has no cause yet; the replica's next attempt may find one
		if !slices.ContainsFunc(all, func(s opsStatus) bool {
			_, p := s.check()
			return p != nil && (strings.HasSuffix(p.cause, "_other") || strings.HasSuffix(p.cause, "_connection_lost"))
		}) {
			break
		}
		all = d.readOps(ctx)
	}
	var lines []string
	var problems []*problem
	storyRead := false
	for i, s := range all {
		line, p := s.check()
		lines = append(lines, line)
		if p == nil && found != nil {
			p = s.databaseProblem(d.before[i], found)
			if story, ok := d.readStory(ctx, s.address, found); ok && !storyRead {
				storyRead = true // every replica returns the same story
				lines = append(lines, story.text())
				p = cmp.Or(story.problem(found), p)
			}
		}
		if p != nil {
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return "", slices.MinFunc(problems, func(a, b *problem) int { return cmp.Compare(rank(a.cause), rank(b.cause)) })
	}
	detail := strings.Join(lines, "; ")
	if versions := versionsOf(all); len(versions) > 1 {
		detail += "; different versions run (" + strings.Join(versions, ", ") + "), as during an update"
	}
	return detail, nil
}

// rank orders causes by how much they explain, the most first.
func rank(word string) int {
	return slices.Index([]string{"redis_connection_lost", "postgres_connection_lost", "redis_other", "postgres_other", "draining", "ops_unreachable"}, word)
}

// check returns a summary of the replica, and the problem that explains most.
func (s *opsStatus) check() (string, *problem) {
	if s.err != "" {
		return "", &problem{cause: "ops_unreachable", detail: s.address + ": " + s.err}
	}
	words := []string{s.Replica + " " + s.Version}
	var worst *problem
	for _, c := range s.Checks {
		if c.OK && (c.Cause == "" || c.Cause == "proxy_cuts_idle") {
			if c.Name == "postgres" {
				words = append(words, c.Detail)
			}
			continue
		}
		p := &problem{cause: c.Cause, detail: fmt.Sprintf("replica %s: %s: %s", s.Replica, c.Name, cmp.Or(c.Error, c.Warning, c.Detail))}
		if _, known := cause.Find(p.cause); !known { // a word of a newer version
			p.cause = map[bool]string{true: "postgres_other", false: "redis_other"}[c.Name == "postgres"]
		}
		if worst == nil || rank(p.cause) < rank(worst.cause) {
			worst = p
		}
	}
	line := strings.Join(words, ", ")
	if worst != nil {
		return line, worst
	}
	if s.Draining {
		return line, &problem{cause: "draining", detail: "replica " + s.Replica + " is shutting down"}
	}
	return line + ", ready", nil
}

// A story holds the used fields of the response of /debug/stories/{ref}.
type story struct {
	Failed struct{ Name, Detail string } `json:"failed_step"`
	Advice struct{ Cause string }        `json:"advice"`
}

// storyTimeout is how long a replica may take to make the story of a failed connection
// available.
const storyTimeout = time.Second

// readStory reads the story of the connection that failed. ok is false if the replica has
// none.
func (d *diagnosis) readStory(ctx context.Context, address string, found *problem) (s story, ok bool) {
	if found == nil || found.ref == "" {
		return s, false
	}
	for end := time.Now().Add(storyTimeout); ; {
		body, err := d.fetchWith(ctx, address+"/debug/stories/"+found.ref, d.OpsToken, 4<<20)
		if err == nil && json.Unmarshal(body, &s) == nil && s.Failed.Name != "" {
			return s, true
		}
		if time.Now().After(end) {
			return s, false
		}
		select {
		case <-time.After(storyTimeout / 10):
		case <-ctx.Done():
			return s, false
		}
	}
}

// problem returns the story's cause, if it is more specific than the one that was found.
func (s story) problem(found *problem) *problem {
	word := s.Advice.Cause
	if _, known := cause.Find(word); !known || !slices.Contains(vague, found.cause) || slices.Contains(vague, word) {
		return nil
	}
	return &problem{cause: word, ref: found.ref, detail: s.text()}
}

func (s story) text() string {
	text := "the handshake failed at the step " + truncate(s.Failed.Name)
	if s.Failed.Detail != "" {
		text += ": " + s.Failed.Detail
	}
	return text
}

// databaseProblem returns the most frequent cause of database operations that failed during
// the diagnosis.
func (s *opsStatus) databaseProblem(before opsStatus, found *problem) *problem {
	if found.cause != "database_unavailable" {
		return nil
	}
	most, count := "", 0.0
	for word, n := range s.databaseErrors {
		if n -= before.databaseErrors[word]; n > count {
			most, count = word, n
		}
	}
	if most == "" {
		return nil
	}
	return &problem{cause: postgresCause(most), detail: fmt.Sprintf("replica %s: database operations failed during this diagnosis with %s: %.0f", s.Replica, most, count)}
}

// postgresCause returns the word of package cause for a label of the metric.
func postgresCause(label string) string {
	if strings.HasPrefix(label, "schema_") {
		return label
	}
	if label == "lock_timeout" {
		return "postgres_locked"
	}
	if _, known := cause.Find("postgres_" + label); known {
		return "postgres_" + label
	}
	return "postgres_other"
}

// vague are the causes that have a more specific cause, which only the replicas know.
var vague = []string{
	"database_unavailable", "channel_layer_unavailable", "internal", "busy", "unavailable", "draining", "abnormal", "no_answer",
	"bad_gateway", "gateway_timeout", "connection_refused", "no_ready_replica",
}

// combine chooses between the problem found from the client's side and the one that the
// replicas report, each of which may be nil.
func combine(found, inner *problem) *problem {
	switch {
	case inner == nil || inner.cause == interrupted:
		return cmp.Or(found, inner)
	case found == nil:
		if inner.cause == "draining" { // another replica has answered, as during an update
			return nil
		}
		return inner
	case !slices.Contains(vague, found.cause), inner.cause == "ops_unreachable":
		return found
	case found.cause == "no_ready_replica":
		found.cureOf, found.detail = inner.cause, found.detail+"; "+inner.detail
		return found
	}
	inner.ref = cmp.Or(inner.ref, found.ref)
	return inner
}

func versionsOf(all []opsStatus) []string {
	var versions []string
	for _, s := range all {
		if s.Version != "" && !slices.Contains(versions, s.Version) {
			versions = append(versions, s.Version)
		}
	}
	return versions
}
