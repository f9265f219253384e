package auth_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWorkersLeaveTheProcessorToOthers(t *testing.T) {
	t.Parallel()
	p, _ := delegated(t, 1, os.Args[0], whenIdle)
	p.SkipRest()
	verifies(t, p, cheap, "secret")
	threads := 0
	for _, pid := range p.Workers() {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, file := range files {
			stat, err := os.ReadFile(file)
			if err != nil {
				continue // the thread has ended
			}
			threads++
			_, text, _ := strings.Cut(string(stat), ") ") // from the third field on, see proc(5)
			fields := strings.Fields(text)
			if nice, policy := fields[19-3], fields[41-3]; policy != "5" && nice != "10" { // SCHED_IDLE
				t.Errorf("a thread has the policy %s and the nice value %s", policy, nice)
			}
		}
	}
	if threads == 0 {
		t.Error("no worker runs")
	}
}
