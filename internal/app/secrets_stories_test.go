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
)

// storiesAsked is how many stories of each replica are asked for one by one, and
// everyExplained of how many one is asked for with the program itself, which takes longer.
const storiesAsked, everyExplained = 60, 4

var loggedRef = regexp.MustCompile(`"ref":"([0-9a-z]{16})".*"step":`)

// tellsStories takes down the stories of connections that a replica has logged: as the ops
// listener has them, as explain prints them, and from Redis.
func (x *secrecy) tellsStories(t *testing.T, r *replica) {
	t.Helper()
	seen, client := map[string]bool{}, x.redis(t)
	for _, m := range loggedRef.FindAllStringSubmatch(r.json.String(), -1) {
		ref := m[1]
		if seen[ref] || len(seen) == storiesAsked {
			continue
		}
		seen[ref] = true
		if len(seen)%everyExplained == 1 {
			x.explains(t, ref, "--ops=http://"+r.OpsAddr())
			x.explains(t, ref, "--redis-url="+x.redisURL, "--redis-prefix="+x.prefix)
		}
		_, header, body := get(t, "http://"+r.OpsAddr()+"/debug/stories/"+ref)
		x.say("a story", header.Get("Content-Type")+string(body))
		told, err := ops.Ask(t.Context(), r.OpsAddr(), ref)
		if err == nil {
			x.prints(t, told)
		} else {
			x.say("why there is no story", err.Error())
		}
		told, err = story.Explain(t.Context(), client.Stories, ref)
		if err == nil {
			x.prints(t, told)
		} else if !errors.Is(err, story.ErrUnknown) {
			x.say("why nothing can be explained", err.Error())
		}
	}
}

// explains takes down all that the command says, as a script gets it. Where there is no
// story, it says why.
func (x *secrecy) explains(t *testing.T, ref string, where ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), x.program, append([]string{"explain", ref, "--json"}, where...)...).CombinedOutput()
	x.say("what explain --json prints", string(out))
	var told struct{ Story *story.Story }
	if err == nil && json.Unmarshal(out, &told) == nil && told.Story != nil && told.Story.Ref == ref {
		x.explained.Add(1)
	}
}

func (x *secrecy) prints(t *testing.T, told *story.Explanation) {
	t.Helper()
	var text bytes.Buffer
	if err := told.Print(&text); err != nil {
		t.Error(err)
	}
	x.say("what explain prints", text.String())
	x.stories.Add(1)
}

// keptStories takes down all that is kept of failed connections in Redis.
func (x *secrecy) keptStories(t *testing.T) {
	t.Helper()
	r, kept := redisClient(t, x.redisURL), 0
	for it := r.Scan(t.Context(), 0, x.prefix+"*", 1000).Iterator(); it.Next(t.Context()); {
		if key := strings.TrimPrefix(it.Val(), x.prefix); !strings.HasPrefix(key, "stories:") && !strings.HasPrefix(key, "failures:") && !strings.HasPrefix(key, "returns:") {
			continue
		}
		values, err := r.LRange(t.Context(), it.Val(), 0, -1).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			x.say("a story in Redis", it.Val()+v)
			kept++
		}
	}
	if kept < 100 || x.stories.Load() < 60 || x.explained.Load() < 15 {
		t.Errorf("%d stories are kept, %d were told and %d explained by the command: too few to say anything",
			kept, x.stories.Load(), x.explained.Load())
	}
}
