package app_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestATraceLeadsFromAMetricToTheStory connects with the trace context of a proxy.
func TestATraceLeadsFromAMetricToTheStory(t *testing.T) {
	t.Parallel()
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	w := world.New(t)
	r := w.Ready(t, "a")
	header := http.Header{"Traceparent": {"00-" + trace + "-00f067aa0ba902b7-01"}}
	s := r.Connect(t, world.Handshake{Path: "/ws/chat/3/4/", Subprotocols: []string{"bearer", w.Token(t, world.Customer)}, Header: header})
	s.ExpectRefusal(t, 4003, "not_your_room")
	world.Eventually(t, "the story has the trace", func() (bool, any) {
		told, err := ops.Ask(t.Context(), r.OpsAddr(), "", s.Ref())
		return err == nil && told.Story.TraceID == trace, err
	})
	if lines := r.Log.About(s.Ref()); lines == "" || strings.Count(lines, "trace_id="+trace) != strings.Count(lines, "\n") {
		t.Errorf("not every line has the trace:\n%s", lines)
	}
	member := r.Chat(t, world.Customer)
	member.Deliver(t, "hello", "1")
	for name, want := range map[string][]string{
		"roomspa_handshake_seconds_bucket":      {`outcome="refused"`, `ref="` + s.Ref() + `"`, `trace_id="` + trace + `"`},
		"roomspa_message_commit_seconds_bucket": {`ref="` + member.Ref() + `"`},
		"roomspa_fanout_seconds_bucket":         {`ref="` + member.Ref() + `"`},
	} {
		world.Eventually(t, name+" has an exemplar", func() (bool, any) {
			for line := range strings.Lines(openMetrics(t, r)) {
				if strings.HasPrefix(line, name) && strings.Contains(line, " # {") && containsAll(line, want) {
					return true, nil
				}
			}
			member.Deliver(t, "hello again", "") // a message that was read from the store has no time of its delivery
			return false, want
		})
	}
}

// openMetrics returns the metrics of a replica in the format that has exemplars.
func openMetrics(t *testing.T, r *world.Replica) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.Ops("/metrics"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

func TestTheGreetingSaysThatAReplicaIsNotReady(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnPostgres)
	r := w.Ready(t, "a")
	greet := func() world.Frame {
		return r.Connect(t, world.Handshake{Path: "/ws/test/", Query: url.Values{"greet": {"1"}}}).Expect(t, "greeting")
	}
	if f := greet(); strings.Contains(string(f.Raw), "not_ready") {
		t.Errorf("a ready one says %s", f.Raw)
	}
	w.Exec(t, "ALTER SYSTEM SET default_transaction_read_only = on")
	w.Exec(t, "SELECT pg_reload_conf()")
	r.WaitNotReady(t)
	if f := greet(); !strings.Contains(string(f.Raw), `"not_ready":"postgres_read_only"`) {
		t.Errorf("it says %s", f.Raw)
	}
}

// TestAFullDiskUnderSendsIsKnown lets Postgres say what it says when it cannot extend a table.
func TestAFullDiskUnderSendsIsKnown(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", world.NoRateLimit)
	s := r.Chat(t, world.Customer)
	w.Exec(t, `CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		RAISE 'could not extend file "base/16384/16397": No space left on device' USING ERRCODE = 'disk_full';
	END $$`)
	w.Exec(t, "CREATE TRIGGER no_space BEFORE INSERT ON roomspa.messages FOR EACH ROW EXECUTE FUNCTION no_space()")
	for range 336 {
		s.Say(t, "lost", "")
		if f := s.Find(t, "error"); !strings.HasPrefix(f.Detail, "postgres_disk_full: ") {
			t.Fatalf("the sender reads %s", f.Raw)
		}
	}
	failures := waitKnown(t, r, "postgres_disk_full", "336 of 336 sends of messages failed in the last 10m0s", "No space left on device")
	expectFailure(t, failures, "send", "postgres_disk_full", 336)
	if status, answer := r.Readyz(t); status != http.StatusOK || !answer.Ready {
		t.Errorf("it is not ready: %+v", answer)
	}
}
