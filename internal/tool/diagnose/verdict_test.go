package diagnose

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

func TestAllIsWellIsSaidOnlyIfNothingIsLeftOut(t *testing.T) {
	t.Parallel()
	slow := Finding{Cause: "slow", Level: warning, Evidence: []string{"x"}, Cure: "y"}
	for name, c := range map[string]struct {
		r    Report
		want string
	}{
		"all is tested":   {Report{OK: true}, "All is well."},
		"a note":          {Report{OK: true, Findings: []Finding{{Cause: "mixed_versions", Level: note}}}, "All is well."},
		"a step left out": {Report{OK: true, NotTested: []string{"idle: x"}}, "No fault was found in what was tested."},
		"a slow step":     {Report{OK: true, Findings: []Finding{slow}}, "It works, with the warnings above."},
		"a fault":         {Report{Findings: []Finding{{Cause: "busy", Level: fault}}}, ""},
	} {
		var b strings.Builder
		(&Text{Out: &b}).Finish(c.r)
		if well := strings.Contains(b.String(), "All is well"); !strings.Contains(b.String(), c.want) || well != (c.want == "All is well.") {
			t.Errorf("%s: %s", name, b.String())
		}
	}
}

// TestTheWholeEndsInTime diagnoses a server that takes connections and says nothing.
func TestTheWholeEndsInTime(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // its queue takes connections
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	began := time.Now()
	r, err := Run(t.Context(), Options{URL: "ws://" + l.Addr().String() + "/ws/chat/1/2/", Timeout: 3 * time.Second, Limit: 4 * time.Second})
	if took := time.Since(began); err != nil || took > 8*time.Second || r.OK || r.Cause != "no_answer" || len(r.NotTested) == 0 {
		t.Errorf("%v after %v: %+v", err, took, r)
	}
}

// TestEachAddressIsTried has an address that takes connections, and one that refuses them.
func TestEachAddressIsTried(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w, err := newWalk(Options{URL: "ws://" + l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	w.facts.Addresses = []Address{{IP: "127.0.0.2"}, {IP: "127.0.0.1"}}
	if r := w.connectTCP(context.WithoutCancel(t.Context())); !r.ok || !strings.Contains(r.detail, "127.0.0.2:"+w.facts.Port+" refused") {
		t.Errorf("%+v", r)
	}
	if got := w.address(0) + " " + w.address(1); got != l.Addr().String()+" "+l.Addr().String() {
		t.Errorf("attempts go to %s", got)
	}
	if all := judge(&w.facts); len(all) != 1 || all[0].Cause != "address_dead" {
		t.Errorf("%+v", all)
	}
}
