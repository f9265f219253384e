package frame_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/frame"
)

// TestProtocolListsEveryClose holds the table of docs/protocol.md to the list:
// what it lacks, and what it has beyond, are both wrong.
func TestProtocolListsEveryClose(t *testing.T) {
	t.Parallel()
	var want []string
	for _, r := range frame.Reasons {
		want = append(want, fmt.Sprintf("| %d | `%s` | %s | %s |", r.Code, r.Word, r.Means, r.Client))
	}
	got := rows(t, "../../docs/protocol.md", "^\\| \\d{4} \\| `[a-z_0-9]+` \\|")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the close codes of docs/protocol.md are not those of frame.Reasons (-Reasons +document):\n%s", diff)
	}
}

// rows returns the lines of a document that a pattern fits.
func rows(t *testing.T, path, pattern string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(pattern)
	return slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool { return !row.MatchString(line) })
}
