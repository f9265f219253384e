package main

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestServeEndsWhenItsListenerFails breaks the public listener of a running server.
func TestServeEndsWhenItsListenerFails(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs world.Journal
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = []string{
		"roomspa", "serve", "--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--shutdown-wait=0s", "--jwt-secret=" + secret,
		"--database-url=postgres://127.0.0.1:1/none", "--redis-url=redis://127.0.0.1:1", // it runs without them
	}
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := regexp.MustCompile(`Listening on (\S+), ops on (\S+)"`)
	var address []string
	world.Eventually(t, "it listens", func() (bool, any) {
		address = listening.FindStringSubmatch(out.String())
		return address != nil, out.String() + errs.String()
	})
	if res, err := http.Get("http://" + address[2] + "/livez"); err != nil {
		t.Error(err)
	} else {
		_ = res.Body.Close()
	}
	if err := world.BreakListener(cmd.Process.Pid, address[1]); err != nil {
		t.Fatal(err)
	}
	exit, ok := errors.AsType[*exec.ExitError](cmd.Wait())
	if !ok || exit.ExitCode() != 1 {
		t.Errorf("it ends with %v, want exit code 1", exit)
	}
	if got := errs.String(); !strings.HasPrefix(got, "roomspa: the public listener failed: ") || strings.Count(got, "\n") != 1 {
		t.Errorf("it says %q", got)
	}
	for _, line := range []string{"the public listener failed: ", "Draining 0 sockets", "Stopped after"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("the log has no %q:\n%s", line, &out)
		}
	}
}
