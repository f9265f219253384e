package auth

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func FuzzMembers(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { "a" : 1 } `, `{"a":"}\"","b":{"c":[1,"]"]},"d":-1e5,"a":null}`, `{"user\u005fid":[],"":true}`, `{"a":[{}],"b":"\\"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want map[string]json.RawMessage
		if !utf8.Valid(text) || json.Unmarshal(text, &want) != nil || want == nil {
			return
		}
		got := map[string]json.RawMessage{}
		for name, value := range members(text) {
			got[string(name)] = value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-encoding/json +members):\n%s", diff)
		}
	})
}
