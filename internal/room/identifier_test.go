package room_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/room"
)

func TestIdentifiersThatAreTheSame(t *testing.T) {
	t.Parallel()
	for want, same := range map[string][]string{
		"+49170902783": {
			"+49 170 902783", "(+49) 170-902783", "+49.170.902783", "+49/170/902783", "+49 [170] 902 783", "+49\u00a0170\u202f902783",
			"+49\u2011170\u2013902783", "\u202a+49170902783\u202c", "+49\t170902783", "+49 170 90 \u2212 27 83",
			"0049 170 902783", "(0049) 170 902783", "+49 (0)170 902783", "0049 (0) 170/902783", "(+49) (0) 170 902783", "+49[0]170902783",
			"＋４９　１７０９０２７８３", "+٤٩١٧٠٩٠٢٧٨٣", "+۴۹۱۷۰۹۰۲۷۸۳", "+४९१७०९०२७८३",
		},
		"+390612345678":      {"+39 (0)6 12345678", "+39 06 12345678"}, // in Italy the 0 is dialled
		"0170902783":         {"(0)170 902783", "0170-902783"},
		"00123":              {"00 123"}, // an extension
		"000170902783":       {},
		"004917090278312345": {}, // too long
		"0170":               {"(01)70"},
		"()":                 {},
		"ömer@example.com":   {"ÖMER@EXAMPLE.COM", "Ömer@EXAMPLE.com", "O\u0308mer@example.com", "o\u0308MER@example.com", "\u200bömer@example.com\ufeff"},
		"ann-b.c@x.example":  {"Ann-B.C@X.example"},
		"i\u0307z@x.example": {"\u0130Z@x.example", "i\u0307z@X.example", "I\u0307z@x.example"},
		"iz@x.example":       {"IZ@x.example"},
		"strasse@x.example":  {"Straße@x.example", "STRASSE@x.example"},
	} {
		for _, s := range append(same, want) {
			if got := room.NormalizeIdentifier(s); got != want {
				t.Errorf("%q becomes %q, want %q", s, got, want)
			}
		}
	}
	for typed, stored := range map[string]string{"Ann@Example.com": "Ann@Example.com", "Ömer@Example.com": "ömer@example.com"} {
		if got := room.NormalizeEmail(typed); got != stored {
			t.Errorf("%s is stored as %s, want %s", typed, got, stored)
		}
	}
}
