package vectors_test

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestTheDocumentListsTheFinalWords compares the table of error words in docs/protocol.md with the list that the vectors
// are written from.
func TestTheDocumentListsTheFinalWords(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, m := range regexp.MustCompile(`(?m)^\| `+"`"+`([a-z_]+)`+"`"+` \|.*\| \*\*no\*\* \|$`).FindAllStringSubmatch(string(text), -1) {
		words = append(words, m[1])
	}
	if !slices.Equal(words, final) {
		t.Errorf("the table of error frames has the final words %q, want %q", words, final)
	}
}
