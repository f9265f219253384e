package diagnose

import (
	"github.com/roomspa/roomspa/internal/cause"

	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An inside is what one ops listener says.
type inside struct {
	address string
	problem string // why it says nothing

	Ready    bool   `json:"ready"`
	Replica  string `json:"replica"`
	Version  string `json:"version"`
	Draining bool   `json:"draining"`
	Checks   []struct {
		Name    string `json:"name"`
		OK      bool   `json:"ok"`
		Address string `json:"address"`
		Detail  string `json:"detail"`
		Error   string `json:"error"`
		Warning string `json:"warning"`
		Cause   string `json:"cause"`
	} `json:"checks"`

	failed map[string]float64 // failed trips to Postgres, by cause
}

// look asks all ops listeners, side by side.
func (w *walk) look(ctx context.Context) []inside {
	all := make([]inside, len(w.Ops))
	var wg sync.WaitGroup
	for i, address := range w.Ops {
		wg.Go(func() { all[i] = w.lookAt(ctx, strings.TrimRight(address, "/")) })
	}
	wg.Wait()
	return all
}

func (w *walk) lookAt(ctx context.Context, address string) inside {
	in := inside{address: address, failed: map[string]float64{}}
	body, err := w.get(ctx, address+"/readyz")
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		in.problem = reasonOf(err)
		return in
	}
	metrics, err := w.get(ctx, address+"/metrics")
	if err != nil {
		return in // readiness is worth showing all the same
	}
	lines := bufio.NewScanner(strings.NewReader(string(metrics)))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), `roomspa_database_errors_total{cause="`)
		if cause, value, cut := strings.Cut(rest, `"} `); ok && cut {
			in.failed[cause], _ = strconv.ParseFloat(value, 64)
		}
	}
	return in
}

func (w *walk) get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := w.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return io.ReadAll(io.LimitReader(response.Body, 4<<20))
}

// inside asks the replicas themselves. found is what was wrong from the outside.
func (w *walk) inside(ctx context.Context, found *trouble) (string, error) {
	all := w.look(ctx)
	for range 3 { // a connection that was just lost says no more than that; the next attempt may
		if !slices.ContainsFunc(all, func(in inside) bool {
			_, t := in.judge()
			return t != nil && (strings.HasSuffix(t.cause, "_other") || strings.HasSuffix(t.cause, "_connection_lost"))
		}) {
			break
		}
		all = w.look(ctx)
	}
	var says []string
	var troubles []*trouble
	heard := false
	for i, in := range all {
		line, t := in.judge()
		says = append(says, line)
		if t == nil && found != nil {
			t = in.since(w.before[i], found)
			if told, ok := w.story(ctx, in.address, found); ok && !heard {
				heard = true // each replica knows it
				says = append(says, told.line())
				t = cmp.Or(told.deepens(found), t)
			}
		}
		if t != nil {
			troubles = append(troubles, t)
		}
	}
	if len(troubles) > 0 {
		worst := slices.MinFunc(troubles, func(a, b *trouble) int { return cmp.Compare(rank(a.cause), rank(b.cause)) })
		return "", worst
	}
	detail := strings.Join(says, "; ")
	if versions := distinct(all, func(in inside) string { return in.Version }); len(versions) > 1 {
		detail += "; different versions run (" + strings.Join(versions, ", ") + "), as during an update"
	}
	return detail, nil
}

// rank puts first what explains most.
func rank(cause string) int {
	return slices.Index([]string{"redis_connection_lost", "postgres_connection_lost", "redis_other", "postgres_other", "draining", "ops_unreachable"}, cause)
}

// judge says in a line what a replica says of itself, and what is wrong with it.
func (in *inside) judge() (string, *trouble) {
	if in.problem != "" {
		return "", &trouble{cause: "ops_unreachable", detail: in.address + ": " + in.problem}
	}
	words := []string{in.Replica + " " + in.Version}
	var worst *trouble
	for _, c := range in.Checks {
		if c.OK && (c.Cause == "" || c.Cause == "proxy_cuts_idle") {
			if c.Name == "postgres" {
				words = append(words, c.Detail)
			}
			continue
		}
		t := &trouble{cause: c.Cause, detail: fmt.Sprintf("replica %s: %s: %s", in.Replica, c.Name, cmp.Or(c.Error, c.Warning, c.Detail))}
		if _, known := cause.Find(t.cause); !known { // the word of a newer release
			t.cause = map[bool]string{true: "postgres_other", false: "redis_other"}[c.Name == "postgres"]
		}
		if worst == nil || rank(t.cause) < rank(worst.cause) {
			worst = t
		}
	}
	line := strings.Join(words, ", ")
	if worst != nil {
		return line, worst
	}
	if in.Draining {
		return line, &trouble{cause: "draining", detail: "replica " + in.Replica + " is shutting down"}
	}
	return line + ", ready", nil
}

// A told story is what is read of the answer of /debug/stories/{ref}.
type toldStory struct {
	Failed struct{ Name, Detail string } `json:"failed_step"`
	Advice struct{ Cause string }        `json:"advice"`
}

// storyWait is how long a replica may take to have the story of a connection that has
// just failed.
const storyWait = time.Second

// story asks a replica for the story of the connection that failed. ok is false where
// it has none: it was another one's, or the release keeps no stories.
func (w *walk) story(ctx context.Context, address string, found *trouble) (told toldStory, ok bool) {
	if found == nil || found.ref == "" {
		return told, false
	}
	for end := time.Now().Add(storyWait); ; {
		body, err := w.get(ctx, address+"/debug/stories/"+found.ref)
		if err == nil && json.Unmarshal(body, &told) == nil && told.Failed.Name != "" {
			return told, true
		}
		if time.Now().After(end) {
			return told, false
		}
		select {
		case <-time.After(storyWait / 10):
		case <-ctx.Done():
			return told, false
		}
	}
}

// deepens makes a trouble of a story that knows more than what was found.
func (t toldStory) deepens(found *trouble) *trouble {
	word := t.Advice.Cause
	if _, known := cause.Find(word); !known || !slices.Contains(vague, found.cause) || slices.Contains(vague, word) {
		return nil
	}
	return &trouble{cause: word, ref: found.ref, detail: t.line()}
}

func (t toldStory) line() string {
	line := "its story ends at the step " + clip(t.Failed.Name)
	if t.Failed.Detail != "" {
		line += ": " + t.Failed.Detail
	}
	return line
}

// since looks for what has failed during this walk.
func (in *inside) since(before inside, found *trouble) *trouble {
	if found.cause != "database_unavailable" {
		return nil
	}
	most, count := "", 0.0
	for cause, n := range in.failed {
		if n -= before.failed[cause]; n > count {
			most, count = cause, n
		}
	}
	if most == "" {
		return nil
	}
	return &trouble{cause: inPostgres(most), detail: fmt.Sprintf("replica %s: trips to Postgres that failed during this diagnosis with %s: %.0f", in.Replica, most, count)}
}

// inPostgres is a cause of the metric as a word of the table.
func inPostgres(word string) string {
	if strings.HasPrefix(word, "schema_") {
		return word
	}
	if word == "lock_timeout" {
		return "postgres_locked"
	}
	if _, known := cause.Find("postgres_" + word); known {
		return "postgres_" + word
	}
	return "postgres_other"
}

// vague are the causes behind which another one is, that only the inside knows.
var vague = []string{
	"database_unavailable", "channel_layer_unavailable", "internal", "busy", "unavailable", "draining", "abnormal", "no_answer",
	"bad_gateway", "gateway_timeout", "connection_refused", "no_ready_replica",
}

// deeper decides between what was found from the outside and from the inside.
func deeper(found, inner *trouble) *trouble {
	switch {
	case inner == nil || inner.cause == interrupted:
		return cmp.Or(found, inner)
	case found == nil:
		if inner.cause == "draining" { // another one has answered: an update goes on
			return nil
		}
		return inner
	case !slices.Contains(vague, found.cause), inner.cause == "ops_unreachable":
		return found
	case found.cause == "no_ready_replica":
		found.why, found.detail = inner.cause, found.detail+"; "+inner.detail
		return found
	}
	inner.ref = cmp.Or(inner.ref, found.ref)
	return inner
}

func distinct(all []inside, of func(inside) string) []string {
	var seen []string
	for _, in := range all {
		if v := of(in); v != "" && !slices.Contains(seen, v) {
			seen = append(seen, v)
		}
	}
	return seen
}
