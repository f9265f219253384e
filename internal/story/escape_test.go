package story_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/story"
)

// TestNoTextOfAStoryReachesTheTerminalAsItIs prints a story that somebody else has written.
func TestNoTextOfAStoryReachesTheTerminalAsItIs(t *testing.T) {
	t.Parallel()
	const title = "\x1b]0;owned\a\u202e\n\u009b31m"
	s := &story.Story{
		Version: story.Version, Ref: title, Began: time.Now(), Path: "/ws/chat/" + title, Remote: title, Replica: title, Endpoint: title,
		User: 1, Role: title, LastRef: title, LastCode: title, Reason: title, Cause: title, Code: 4001,
		Steps: []story.Step{{Name: title, Outcome: story.Failed, Detail: title}},
		End:   &story.End{By: title, Reason: title, Detail: title},
	}
	e := &story.Explanation{Story: s, Failed: &s.Steps[0], Before: s, Pattern: title, Missing: title}
	var out bytes.Buffer
	if err := e.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"\x1b", "\a", "\u202e", "\u009b", "\nowned"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("%q is printed: %q", bad, out.String())
		}
	}
	if !strings.Contains(out.String(), `/ws/chat/\x1b]0;owned\a\u202e \u009b31m`) {
		t.Errorf("the path is not shown escaped: %s", out.String())
	}
}
