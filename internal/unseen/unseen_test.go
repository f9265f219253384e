package unseen_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/unseen"
)

func TestEnds(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"abc", "abc", ""},
		{"", "", ""},
		{"a b\"c", "a b\"c", ""},
		{"abc\n", "abc", "a line break (U+000A) after its end"},
		{"abc\r\n", "abc", "a carriage return (U+000D), a line break (U+000A) after its end"},
		{"\ufeffabc", "abc", "a BOM (U+FEFF) before it"},
		{" abc\u200b", "abc", "a blank (U+0020) before it, and a zero-width space (U+200B) after its end"},
		{"abc\u00a0", "abc", "a no-break space (U+00A0) after its end"},
		{`"abc"`, "abc", "quotes (U+0022) around it"},
		{`'abc'`, "abc", "quotes (U+0027) around it"},
		{"“abc”", "abc", "a quote (U+201C) before it, and a quote (U+201D) after its end"},
		{"abc\x00", "abc", "a NUL (U+0000) after its end"},
		{"abc\u2066", "abc", "an invisible character (U+2066) after its end"},
		{"abc    ", "abc", "a blank (U+0020), a blank (U+0020), a blank (U+0020), more after its end"},
		{"\n", "", "a line break (U+000A) before it"},
	} {
		if core, found := unseen.Ends(c[0]); core != c[1] || found != c[2] {
			t.Errorf("%q: %q, %s", c[0], core, found)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{"abc": "abc", "abc\r\n": "abc", "\ufeffabc\n\n": "abc", "a\r\nb\n": "a\r\nb", "": "", " abc ": " abc "} {
		if got, err := unseen.File([]byte(content)); got != want || err != nil {
			t.Errorf("%q: %q, %v", content, got, err)
		}
	}
	for _, content := range []string{"\xff\xfea\x00b\x00", "\xfe\xff\x00a\x00b", "a\x00b\x00c\x00"} {
		if got, err := unseen.File([]byte(content)); err == nil {
			t.Errorf("%q: %q", content, got)
		}
	}
}
