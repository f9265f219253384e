package diagnose

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
)

// inspectReplicas reads what the ops listeners report, and the stories of connections that failed.
func (w *walk) inspectReplicas(ctx context.Context) result {
	if len(w.Ops) == 0 {
		return skipped("give --ops URL for each replica to read what it knows")
	}
	all := w.readReplicas(ctx)
	for range 3 { // a lost connection has no cause yet; the replica's next attempt may find one
		if !undecided(all) {
			break
		}
		all = w.readReplicas(ctx)
	}
	w.facts.Replicas = all
	w.facts.Stories = w.readStories(ctx)
	var lines []string
	well := true
	for i := range all {
		line, ok := all[i].line()
		lines, well = append(lines, line), well && ok
	}
	for _, s := range w.facts.Stories {
		lines = append(lines, s.text())
		well = false
	}
	if versions := w.facts.versions(); len(versions) > 1 {
		lines = append(lines, "different versions run ("+strings.Join(versions, ", ")+"), as during an update")
	}
	return result{ok: well, detail: strings.Join(lines, "; ")}
}

// undecided reports whether a check has failed for a reason that is not known yet.
func undecided(all []Replica) bool {
	for _, r := range all {
		for _, c := range r.Checks {
			if !c.OK && (strings.HasSuffix(c.Cause, "_other") || strings.HasSuffix(c.Cause, "_connection_lost")) {
				return true
			}
		}
	}
	return false
}

// readReplicas reads all ops listeners side by side.
func (w *walk) readReplicas(ctx context.Context) []Replica {
	all := make([]Replica, len(w.Ops))
	var wg sync.WaitGroup
	for i, address := range w.Ops {
		wg.Go(func() {
			address = strings.TrimRight(address, "/")
			body, err := w.fetch(ctx, address+"/readyz", "", 4<<20)
			if err == nil {
				err = json.Unmarshal(body, &all[i])
			}
			if all[i].Address = address; err != nil {
				all[i].Error = errorText(err)
				if all[i].Error == "" {
					all[i].Error = "it closed the connection"
				}
			}
		})
	}
	wg.Wait()
	return all
}

// line sums up a replica in a line, and reports whether all is well with it.
func (r *Replica) line() (string, bool) {
	if r.Error != "" {
		return "ops_unreachable: " + r.Address + ": " + r.Error, false
	}
	words, well := []string{r.Name + " " + r.Version}, true
	for _, c := range r.Checks {
		if n, wrong := r.explainCheck(c); wrong {
			words = append(words, n.Cause+": "+c.Name+": "+c.Error+c.Warning)
			well = well && n.Level != fault
		} else if c.Name == "postgres" {
			words = append(words, c.Detail)
		}
	}
	for _, x := range r.Failures {
		n := r.explainFailure(x)
		if n.Side == byClient {
			continue // listed, not judged
		}
		words = append(words, n.Cause+": "+strings.TrimPrefix(n.Evidence[0], "replica "+r.Name+": "))
		well = well && n.Level != fault
	}
	for _, x := range r.newWarnings() {
		n := r.finding(x.Cause, x.Text, x.Advice)
		words = append(words, n.Cause+": "+x.Text)
		well = well && n.Level != fault
	}
	switch {
	case r.Draining:
		words = append(words, "is shutting down")
	case well && (r.Ready || len(r.Checks) > 0):
		words = append(words, "ready")
	}
	return strings.Join(words, ", "), well
}

// storyTimeout is how long a replica may take to make the story of a failed connection
// available.
const storyTimeout = time.Second

// maxStories is the number of failed connections whose stories are read.
const maxStories = 3

// readStories reads the stories of connections that roomspa itself failed. Every replica returns
// the same ones.
func (w *walk) readStories(ctx context.Context) (all []Story) {
	tried := map[string]int{} // by code
	attempts := slices.Clone(w.facts.Attempts)
	slices.SortStableFunc(attempts, func(a, b Attempt) int { return cmp.Compare(len(a.Frames)+a.Close, len(b.Frames)+b.Close) * -1 }) // sockets first
	for _, a := range attempts {
		if a.OK || a.Ref == "" || len(all) == maxStories || tried[a.Code] == maxStories {
			continue
		}
		tried[a.Code]++
		for _, r := range w.facts.Replicas {
			if r.Error != "" {
				continue
			}
			if s, ok := w.readStory(ctx, r.Address, a.Ref); ok {
				all, tried[a.Code] = append(all, s), maxStories
				break
			}
		}
	}
	return all
}

func (w *walk) readStory(ctx context.Context, address, ref string) (s Story, ok bool) {
	var body struct {
		Failed struct{ Name, Detail string } `json:"failed_step"`
		Advice struct{ Cause string }        `json:"advice"`
	}
	for end := time.Now().Add(storyTimeout); ; {
		raw, err := w.fetch(ctx, address+"/debug/stories/"+ref, w.OpsToken, 4<<20)
		if err == nil && json.Unmarshal(raw, &body) == nil && body.Failed.Name != "" {
			return Story{Ref: ref, Step: body.Failed.Name, Detail: body.Failed.Detail, Cause: body.Advice.Cause}, true
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
