package chat

import (
	"net/url"
	"testing"
)

func TestParseSince(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "41": 41, "9223372036854775807": 1<<63 - 1} {
		if n, bad := parseSince(url.Values{"since": {text}}); bad != nil || *n != want {
			t.Errorf("%q is read as %v (%v)", text, n, bad)
		}
	}
	if n, bad := parseSince(url.Values{}); n != nil || bad != nil {
		t.Errorf("none is read as %v (%v)", n, bad)
	}
	for _, text := range []string{"", "x", "-1", "+1", "1.5", "1e3", " 1", "0x10", "1_0", "9223372036854775808"} {
		if n, bad := parseSince(url.Values{"since": {text}}); bad == nil || bad.Reason != "bad_since" {
			t.Errorf("%q is read as %v", text, n)
		}
	}
}
