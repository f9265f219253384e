package diagnose

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/cause"
)

// A recorded case is the evidence of a real fault, and the cause that it shows.
type recorded struct {
	Want string // the cause of the first finding that is no note; "" for none
	// Also are causes of further findings, Says is in the evidence or the cure, and Side can act.
	Also []string
	Says string
	Side string
	// Not is a cause that must not be found.
	Not   string
	Facts Facts
}

// TestJudge judges the evidence of each file of testdata.
func TestJudge(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var cases map[string]recorded
		if err := json.Unmarshal(raw, &cases); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for name, c := range cases {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json")+"/"+name, func(t *testing.T) {
				t.Parallel()
				before, _ := json.Marshal(c.Facts)
				c.check(t, judge(&c.Facts))
				if after, _ := json.Marshal(c.Facts); string(after) != string(before) {
					t.Error("the facts were changed")
				}
			})
		}
	}
}

func (c *recorded) check(t *testing.T, all []Finding) {
	t.Helper()
	text, _ := json.MarshalIndent(all, "", "  ")
	got := ""
	if len(all) > 0 && all[0].Level != note {
		got = all[0].Cause
	}
	if got != c.Want {
		t.Errorf("the cause is %q, not %q\n%s", got, c.Want, text)
	}
	has := func(word string) bool {
		return slices.ContainsFunc(all, func(n Finding) bool { return n.Cause == word })
	}
	for _, word := range c.Also {
		if !has(word) {
			t.Errorf("%s is not found\n%s", word, text)
		}
	}
	if c.Not != "" && has(c.Not) {
		t.Errorf("%s is found\n%s", c.Not, text)
	}
	if c.Says != "" && !strings.Contains(string(text), c.Says) {
		t.Errorf("nothing says %q\n%s", c.Says, text)
	}
	for _, n := range all {
		if _, known := cause.Find(n.Cause); len(n.Evidence) == 0 || n.Cure == "" || n.Side == "" || !known && c.Facts.Replicas == nil {
			t.Errorf("a finding is not whole: %+v", n)
		}
	}
	if c.Side != "" && (len(all) == 0 || all[0].Side != c.Side) {
		t.Errorf("%s can act\n%s", c.Side, text)
	}
}
