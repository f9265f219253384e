package diagnose_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

// A broken thing is a row of the matrix: what is broken, for real, and the cause that
// has to be named.
type broken struct {
	name  string
	cause string
	says  string // stands in the failed step's detail, where there are sub-causes
	set   func(t *testing.T, well *world.Replica) diagnose.Options
}

// TestEachBrokenThingIsToldFromAllOthers breaks one thing at a time, and prints the
// causes that were given as a table.
func TestEachBrokenThingIsToldFromAllOthers(t *testing.T) {
	t.Parallel()
	well := world.New(t).Ready(t, "well")
	// What takes longest comes first: it waits, beside the others.
	rows := slices.Concat(replicas(), kinds(), answers(), onTheWay(), proxies(), handshakes(), inRedis(), inPostgres())
	given := make([]string, len(rows))
	var mu sync.Mutex
	t.Cleanup(func() {
		var b strings.Builder
		b.WriteString("\n| broken | cause given |\n| --- | --- |\n")
		for i, row := range rows {
			fmt.Fprintf(&b, "| %s | `%s` |\n", row.name, given[i])
		}
		t.Log(b.String())
	})
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, row.set(t, well))
			mu.Lock()
			given[i] = r.Cause
			mu.Unlock()
			if r.Cause != row.cause || r.OK != strings.HasSuffix(row.cause, "_slow") {
				t.Errorf("the cause given is %q, not %q\n%s", r.Cause, row.cause, show(r))
			}
			if !says(show(r), row.says) {
				t.Errorf("nothing says %q\n%s", row.says, show(r))
			}
			if _, known := cause.Find(r.Cause); !known || r.Cure == "" {
				t.Errorf("there is no cure for %q", r.Cause)
			}
		})
	}
}

// says reports whether a text contains one of the alternatives, which are separated by |.
func says(text, alternatives string) bool {
	return slices.ContainsFunc(strings.Split(alternatives, "|"), func(one string) bool { return strings.Contains(text, one) })
}

func run(t testing.TB, o diagnose.Options) diagnose.Report {
	t.Helper()
	r, err := diagnose.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if text := show(r) + r.Cure; o.Token != "" && strings.Contains(text, o.Token) || strings.Contains(text, world.Password) || strings.Contains(text, "hidden") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	return r
}

func show(r diagnose.Report) string {
	var b strings.Builder
	text := diagnose.Text{Out: &b}
	for _, s := range r.Steps {
		text.End(s)
	}
	text.Finish(r)
	return b.String()
}
