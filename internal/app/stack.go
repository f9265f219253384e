package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A stack holds what there is to stop. It is not safe for concurrent use.
type stack []step

// A step stops one thing.
type step struct {
	name string
	stop func(context.Context) error
}

// A task runs until its context ends, and flushes what it holds before it returns.
type task struct {
	name string
	run  func(context.Context)
}

// extraTime is how long a step may take although the time for all steps is over. So
// the errors name the step that hung, and not those after it.
const extraTime = 100 * time.Millisecond

func (s *stack) push(name string, stop func(context.Context) error) {
	*s = append(*s, step{name, stop})
}

// run starts tasks that work side by side under a child of ctx. It pushes a step for
// each of them that waits for it, and on top a step that makes all of them stop.
func (s *stack) run(ctx context.Context, tasks []task) {
	ctx, cancel := context.WithCancel(ctx)
	for _, t := range tasks {
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			t.run(ctx)
		}()
		s.push(t.name, func(context.Context) error {
			<-returned
			return nil
		})
	}
	s.push("tasks", func(context.Context) error {
		cancel()
		return nil
	})
}

// unwind stops everything, the last one first, and empties the stack. Its errors name
// the steps that failed or had not finished when ctx ended. It does not wait for those.
func (s *stack) unwind(ctx context.Context) error {
	var errs []error
	for _, step := range slices.Backward(*s) {
		if err := step.do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", step.name, err))
		}
	}
	*s = nil
	return errors.Join(errs...)
}

func (s step) do(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.stop(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(extraTime):
		return errors.New("not finished in time")
	}
}
