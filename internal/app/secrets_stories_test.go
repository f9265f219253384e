package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/story"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// storiesAsked is the number of stories read from each replica. One in everyExplained is read with the command too, which
// takes longer.
const storiesAsked, everyExplained = 60, 4

var loggedRef = regexp.MustCompile(`"ref":"([0-9a-z]{16})".*"step":`)

// recordStories records the stories of logged connections: as the ops listener answers, as explain prints them, and as
// Redis keeps them.
func (x *secrecy) recordStories(t *testing.T, r *world.Replica) {
	t.Helper()
	seen, client := map[string]bool{}, x.OpenRedis(t)
	for _, m := range loggedRef.FindAllStringSubmatch(r.JSONLog.String(), -1) {
		ref := m[1]
		if seen[ref] || len(seen) == storiesAsked {
			continue
		}
		seen[ref] = true
		if len(seen)%everyExplained == 1 {
			x.recordExplain(t, ref, "--ops=http://"+r.OpsAddr())
			x.recordExplain(t, ref, "--database-url="+x.DatabaseURL, "--redis-url="+x.RedisURL, "--redis-prefix="+x.RedisPrefix)
		}
		_, header, body := world.Get(t, r.Ops("/debug/stories/"+ref))
		x.record("a story", header.Get("Content-Type")+string(body))
		told, err := ops.Ask(t.Context(), r.OpsAddr(), "", ref)
		if err == nil {
			x.recordPrinted(t, told)
		} else {
			x.record("why there is no story", err.Error())
		}
		told, err = story.Explain(t.Context(), client.Stories, ref)
		if err == nil {
			x.recordPrinted(t, told)
		} else if !errors.Is(err, story.ErrUnknown) {
			x.record("why nothing can be explained", err.Error())
		}
	}
}

// recordExplain records the output of explain --json.
func (x *secrecy) recordExplain(t *testing.T, ref string, where ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), world.Program(t), append([]string{"explain", ref, "--json"}, where...)...).CombinedOutput()
	x.record("what explain --json prints", string(out))
	var told struct{ Story *story.Story }
	if err == nil && json.Unmarshal(out, &told) == nil && told.Story != nil && told.Story.Ref == ref {
		x.explained.Add(1)
	}
}

func (x *secrecy) recordPrinted(t *testing.T, told *story.Explanation) {
	t.Helper()
	var text bytes.Buffer
	if err := told.Print(&text); err != nil {
		t.Error(err)
	}
	x.record("what explain prints", text.String())
	x.stories.Add(1)
}

// recordKeptStories records what Redis keeps of failed connections.
func (x *secrecy) recordKeptStories(t *testing.T) {
	t.Helper()
	r, client, kept := x.RedisClient(t), x.OpenRedis(t), 0
	for it := r.Scan(t.Context(), 0, x.RedisPrefix+"*", 1000).Iterator(); it.Next(t.Context()); {
		if _, key, _ := strings.Cut(it.Val(), "}:"); !strings.HasPrefix(key, "stories:") && !strings.HasPrefix(key, "failures:") && !strings.HasPrefix(key, "returns:") {
			continue
		}
		values, err := r.LRange(t.Context(), it.Val(), 0, -1).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			e, err := client.Open(client.Ring(), it.Val(), []byte(v), 0)
			if err != nil {
				t.Fatal(err)
			}
			x.record("a story in Redis", it.Val()+string(e.Body))
			kept++
		}
	}
	if kept < 100 || x.stories.Load() < 60 || x.explained.Load() < 15 {
		t.Errorf("%d stories are kept, %d were told and %d explained by the command: too few to say anything",
			kept, x.stories.Load(), x.explained.Load())
	}
}
