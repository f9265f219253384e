package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
)

func TestAGracePeriodThatIsTooShortIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grace time.Duration
		want  string
	}{
		"nobody knows":      {0, ""},
		"a second to spare": {31 * time.Second, ""},
		"none to spare":     {30 * time.Second, "--grace-period is 30s, but must be above 30s: shutdown-wait 5s + drain-timeout 20s + flush-timeout 5s"},
		"too short":         {10 * time.Second, "--grace-period is 10s, but must be above 30s"},
		"negative":          {-time.Second, "--grace-period is -1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{databaseURL: "postgres://localhost/x", redisURL: "redis://localhost"}
			o := w.options(t, func(o *app.Options) {
				o.ShutdownWait, o.DrainTimeout, o.FlushTimeout, o.GracePeriod = 5*time.Second, 20*time.Second, 5*time.Second, c.grace
			})
			switch err := o.Validate(); {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
