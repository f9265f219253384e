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

func TestWhatIsNotCoveredIsSaid(t *testing.T) {
	t.Parallel()
	r := Report{OK: true, NotTested: []string{"stored: x", "idle: x"}}
	r.Next = next(&r)
	const want = "If open connections end with 1006, run diagnose with --idle 90s: it finds proxies that cut silent connections. " +
		"Not covered: the last position of a map, whether all replicas use the same database, stored messages. Next: roomspa diagnose with --send; roomspa check with the environment of each replica, and compare the addresses that they print.\n"
	var b strings.Builder
	(&Text{Out: &b}).Finish(r)
	if !strings.HasSuffix(b.String(), "No fault was found in what was tested.\n"+want) {
		t.Error(b.String())
	}
	r.NotTested = r.NotTested[:1]
	if strings.Contains(next(&r), "1006") {
		t.Error(next(&r))
	}
	r.Facts.Attempts = []Attempt{{Probe: "history", OK: true}}
	if strings.Contains(next(&r), "database") {
		t.Error(next(&r))
	}
}

func TestExplainIsPrintedWithTheOpsListener(t *testing.T) {
	t.Parallel()
	r := Report{Findings: []Finding{{Cause: "busy", Level: fault, Ref: "8bx3p0q2m5n7r9tv"}}}
	for _, c := range []struct {
		replicas []Replica
		want     string
	}{
		{nil, "(roomspa explain 8bx3p0q2m5n7r9tv)"},
		{[]Replica{{Address: "http://ra:9090", Error: "x"}, {Address: "http://rb:9090"}}, "(roomspa explain 8bx3p0q2m5n7r9tv --ops http://rb:9090)"},
	} {
		var b strings.Builder
		r.Facts.Replicas = c.replicas
		if (&Text{Out: &b}).Finish(r); !strings.Contains(b.String(), c.want) {
			t.Error(b.String())
		}
	}
}

// TestWhatTheRunDidItselfIsNoFinding has replicas that count the requests of the run.
func TestWhatTheRunDidItselfIsNoFinding(t *testing.T) {
	t.Parallel()
	f := Facts{
		Attempts: []Attempt{
			{Probe: "routes", Path: "/login/", OK: true, Ours: true, Replica: "ra", Status: 405, Code: "method_not_allowed"},
			{Probe: "http", Path: "/ws/test/", OK: true, Ours: true, Replica: "ra", Status: 426, Code: "upgrade_required"},
			{Probe: "app", Path: "/api/conversations/", Sent: noToken, OK: true, Ours: true, Status: 401, Code: "token_missing"},
			{Probe: "app", Path: "/api/conversations/", Sent: "Authorization", OK: true, Ours: true, Status: 200},
		},
		Replicas: []Replica{{Name: "ra", Ready: true, Failures: []Failure{
			{Kind: "sign_in", Cause: "method_not_allowed", Side: "client", Count: 3, Of: 4},
			{Kind: "handshake", Cause: "upgrade_required", Side: "client", Count: 1, Of: 4},
			{Kind: "rest", Cause: "token_missing", Side: "client", Count: 2, Of: 4},
			{Kind: "rest", Cause: "token_expired", Side: "client", Count: 3, Of: 4},
		}}},
	}
	if all := judge(&f); len(all) != 1 || all[0].Level != note || all[0].Evidence[0] != "clients of replica ra: 3 of 4 REST requests in the last 10 minutes" {
		t.Errorf("%+v", all)
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
