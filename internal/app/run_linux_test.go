package app_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestAListenerThatFailsEndsTheReplica(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]func(*app.App) string{"public": (*app.App).Addr, "ops": (*app.App).OpsAddr} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			a := newStoreless(t, &log)
			ended := run(t, t.Context(), a)
			if err := world.BreakListener(os.Getpid(), address(a)); err != nil {
				t.Fatal(err)
			}
			want := "the " + name + " listener failed: "
			if err := <-ended; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("Run returns %v", err)
			}
			for _, line := range []string{want, "Draining 0 sockets", "Stopped after"} {
				if !strings.Contains(log.String(), line) {
					t.Errorf("the log has no %q:\n%s", line, log.String())
				}
			}
		})
	}
}
