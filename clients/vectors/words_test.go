package vectors_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTheDocumentListsTheFinalWords compares both places of docs/protocol.md that say which error words are final with the
// list that the vectors are written from.
func TestTheDocumentListsTheFinalWords(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	words := func(pattern, in string) (found []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(in, -1) {
			found = append(found, m[1])
		}
		return found
	}
	if got := words(`(?m)^\| `+"`"+`([a-z_]+)`+"`"+` \|.*\| \*\*no\*\* \|$`, string(text)); !slices.Equal(got, final) {
		t.Errorf("the table of error frames has the final words %q, want %q", got, final)
	}
	_, rule, _ := strings.Cut(string(text), "**`error` with a `client_message_id`.**")
	rule, _, _ = strings.Cut(rule, "After any other code")
	if got := words("`([a-z_]+)`", rule); !slices.Equal(got, final) {
		t.Errorf("the rule for clients has the final words %q, want %q", got, final)
	}
}
