package app_test

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/story"
)

// storiesAsked is how many stories of each replica are asked for one by one.
const storiesAsked = 60

var loggedRef = regexp.MustCompile(`"ref":"([0-9a-z]{16})".*"step":`)

// tellsStories takes down the stories of connections that a replica has logged: as the ops
// listener has them, as explain prints them, and from Redis.
func (x *secrecy) tellsStories(t *testing.T, r *replica) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range loggedRef.FindAllStringSubmatch(r.json.String(), -1) {
		ref := m[1]
		if seen[ref] || len(seen) == storiesAsked {
			continue
		}
		seen[ref] = true
		_, header, body := get(t, "http://"+r.OpsAddr()+"/debug/stories/"+ref)
		x.say("a story", header.Get("Content-Type")+string(body))
		told, err := ops.Ask(t.Context(), r.OpsAddr(), ref)
		if err == nil {
			x.prints(t, told)
		} else {
			x.say("why there is no story", err.Error())
		}
		told, err = app.Explain(t.Context(), x.options(t), ref)
		if err == nil {
			x.prints(t, told)
		} else if !errors.Is(err, story.ErrUnknown) {
			x.say("why nothing can be explained", err.Error())
		}
	}
}

func (x *secrecy) prints(t *testing.T, told *story.Told) {
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
	if kept < 100 || x.stories.Load() < 60 {
		t.Errorf("%d stories are kept and %d were told: too few to say anything", kept, x.stories.Load())
	}
}
