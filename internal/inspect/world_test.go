package inspect_test

import (
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// waitLine waits until a line of the log has all words.
func waitLine(t *testing.T, r *world.Replica, words ...string) (line string) {
	t.Helper()
	world.Eventually(t, "a line with "+strings.Join(words, ", "), func() (bool, any) {
		line = findLine(r, words...)
		return line != "", r.Log.String()
	})
	return line
}

func findLine(r *world.Replica, words ...string) string {
	for line := range strings.Lines(r.Log.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return line
		}
	}
	return ""
}
