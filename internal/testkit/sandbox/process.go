package sandbox

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one run of a server.
type process struct {
	cmd   *exec.Cmd
	tail  *tail
	asked atomic.Bool   // its end was asked for
	done  chan struct{} // closed after Wait
	err   error         // what Wait said; read it after done
}

// startProcess runs cmd in a process group of its own; orphaned is what the kernel sends it when we die. What it writes
// goes to log, which may be nil.
func startProcess(cmd *exec.Cmd, orphaned syscall.Signal, log io.Writer) (*process, error) {
	p := &process{cmd: cmd, tail: &tail{next: log}, done: make(chan struct{})}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr, orphaned)
	cmd.Stdout, cmd.Stderr = p.tail, p.tail
	cmd.WaitDelay = time.Second // a grandchild may hold the log's pipe open after the end of the main process

	started := make(chan error)
	go func() {
		// "Parent" means the thread that forked, prctl(2) PR_SET_PDEATHSIG: keep it until the child has ended.
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
		return nil, err //nolint:wrapcheck // the caller says which program
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// died says how the process ended. Call it after done.
func (p *process) died() error {
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	if p.tail.portTaken() {
		return fmt.Errorf("%w: it ended with %s: %s", errPortTaken, how, p.tail.lastWords())
	}
	return fmt.Errorf("it ended with %s: %s", how, p.tail.lastWords())
}

// answers calls ping until it succeeds, the process ends or ctx does.
func (p *process) answers(ctx context.Context, ping func(context.Context) error) error {
	const pause, limit = 10 * time.Millisecond, 2 * time.Second // between attempts; for one attempt
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
			return p.died()
		case <-ctx.Done():
			return fmt.Errorf("wait for its first answer: %w (it said: %s; we saw: %w)", context.Cause(ctx), p.tail.lastWords(), err)
		case <-timer.C:
		}
	}
}
