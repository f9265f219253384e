package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAStackNamesTheStepsThatFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s stack
		var stopped []string
		step := func(name string, err error) {
			s.push(name, func(context.Context) error {
				stopped = append(stopped, name)
				return err
			})
		}
		hang := make(chan struct{})
		step("first", nil)
		step("second", errors.New("broken"))
		s.push("stuck step", func(context.Context) error { <-hang; return nil })
		s.run(t.Context(), []task{
			{"good task", func(ctx context.Context) { <-ctx.Done() }},
			{"stuck task", func(context.Context) { <-hang }},
			{"slow task", func(ctx context.Context) { <-ctx.Done(); time.Sleep(time.Second) }}, //nolint:forbidigo // the bubble's time
		})
		step("last", nil)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		err := s.unwind(ctx)
		const want = "stop stuck task: not finished in time\nstop stuck step: not finished in time\nstop second: broken"
		if err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		if got := strings.Join(stopped, " "); got != "last second first" {
			t.Errorf("stopped %s", got)
		}
		if took := time.Since(began); took < 3*time.Second || took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if err := s.unwind(t.Context()); err != nil {
			t.Errorf("a second time: %v", err)
		}
		close(hang)
	})
}
