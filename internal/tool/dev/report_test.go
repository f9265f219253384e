package dev

import (
	"fmt"
	"strings"
	"testing"
)

func TestTheReportNamesAFewUsers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{2: "u0, u1 (password p)", 4: "u0, u1, u2, u3 (password p)", 20: "u0, u1, u2, u3, … (password p)"} {
		r := &Report{Replicas: make([]ReplicaReport, 1)}
		for i := range n {
			r.Users = append(r.Users, UserReport{Email: fmt.Sprintf("u%d", i), Password: "p"})
		}
		var out strings.Builder
		if err := text.Execute(&out, struct {
			*Report
			WS, Command string
		}{r, "ws://x", "roomspa"}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "  Sign-in      "+want+"\n") {
			t.Errorf("of %d users, want %q in:\n%s", n, want, out.String())
		}
	}
}
