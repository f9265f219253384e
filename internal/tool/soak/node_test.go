package soak

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

func TestTheJavaScriptClientLosesNothingAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		needs world.Need
		kind  kind
		lasts time.Duration
	}{
		"a replica is killed":             {processes, replicaKill, 500 * time.Millisecond},
		"the answers to commits are lost": {0, lostCommit, 200 * time.Millisecond},
		"the link to the clients stalls":  {0, clientStall, 3 * time.Second},
		"clients vanish":                  {0, vanish, 500 * time.Millisecond},
		"Postgres is killed":              {world.OwnPostgres, pgKill, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := writeJS(t.Context(), t.TempDir()); err != nil {
				t.Skip(err)
			}
			s := newScene(t, c.needs|scripts)
			s.talk(t)
			s.fault(t, c.kind, 0, c.lasts, 1)
			s.acknowledge(t, 50)
			s.verdict(t)
			for _, d := range s.crowd.devices {
				if d.js {
					requireHistory(t, filepath.Join(s.dir, judge.ClientsDir, d.name+".jsonl"))
				}
			}
		})
	}
}

// requireHistory requires that a client has sent and received something, since the judge is content with little.
func requireHistory(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	count := map[judge.Kind]int{}
	for line := range strings.Lines(string(text)) {
		var e judge.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		count[e.Kind]++
	}
	if count[judge.Sent] == 0 || count[judge.Acknowledged] != count[judge.Sent] || count[judge.Received] < count[judge.Sent] || count[judge.Stayed] != 1 {
		t.Errorf("%s has %v", path, count)
	}
}

func TestWithoutNodeTheJavaScriptClientsAreLeftOut(t *testing.T) {
	t.Setenv("PATH", "")
	if _, err := writeJS(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "install Node 18") {
		t.Errorf("the error is %v", err)
	}
}
