package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// A process is one run of a server.
type process struct {
	cmd           *exec.Cmd
	tail          *tail
	stopRequested atomic.Bool   // its end was stopRequested for
	done          chan struct{} // closed after Wait
	err           error         // of Wait; valid after done
}

// startProcess runs cmd in its own process group. The kernel sends it the signal orphaned when our process ends. Its output
// goes to log, which may be nil.
func startProcess(cmd *exec.Cmd, orphaned syscall.Signal, log io.Writer) (*process, error) {
	p := &process{cmd: cmd, tail: &tail{next: log}, done: make(chan struct{})}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	setParentDeathSignal(cmd.SysProcAttr, orphaned)
	cmd.Stdout, cmd.Stderr = p.tail, p.tail
	cmd.WaitDelay = time.Second // a grandchild may keep the pipe of the log open

	started := make(chan error)
	go func() {
		// The parent is the thread that forked (prctl(2), PR_SET_PDEATHSIG), so it must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err //nolint:wrapcheck // the caller adds the program
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) isRunning() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// endError returns how the process ended. It must be called after done.
func (p *process) endError() error {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	if p.tail.portTaken() {
		return fmt.Errorf("%w: ended with %s: %s", errPortTaken, how, p.tail.lastLines())
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return errors.New("ended with " + how) // the last output does not explain it
		}
	}
	return fmt.Errorf("ended with %s: %s", how, p.tail.lastLines())
}

// waitForAnswer calls ping until it succeeds, the process ends or ctx ends.
func (p *process) waitForAnswer(ctx context.Context, ping func(context.Context) error) error {
	const pause, limit = 10 * time.Millisecond, 2 * time.Second // between attempts; of one attempt
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, limit)
		err := ping(attempt)
		cancel()
		if err == nil {
			return nil
		}
		timer.Reset(pause)
		select {
		case <-p.done:
			return p.endError()
		case <-ctx.Done():
			return fmt.Errorf("wait for its first answer: %w (its last output: %s; the last attempt: %w)", context.Cause(ctx), p.tail.lastLines(), err)
		case <-timer.C:
		}
	}
}
