// Package sandbox starts private, real Postgres and Redis server processes: for `roomspa dev`, whose data lives on in a
// directory, and for tests, which stop, pause and kill them.
//
// It owns the processes it started, their directory, their ports (127.0.0.1 only) and their random passwords. It refuses
// to download anything, to imitate a server in memory, to touch a server that somebody else runs, and to know what is
// stored in them: schemas and keys are the caller's. Unix only.
//
// The servers die with the process that started them, even after its kill -9 (Linux; elsewhere they are left behind and
// the next start says so), and they stand in process groups of their own, so that a Ctrl-C in the terminal reaches the
// caller alone, which can then stop things in order.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// killLimit bounds how long a killed process tree may take to vanish. The kernel needs milliseconds; a machine deep in
// swap needs more.
const killLimit = 10 * time.Second

var errPortTaken = errors.New("the port is taken")

// server is what Postgres and Redis have in common: one tree of processes at one port over one directory.
type server struct {
	name       string         // in errors
	dir        string         // locked as long as the server runs
	stopSignal syscall.Signal // asks for an orderly end
	command    func(port int) *exec.Cmd
	ping       func(context.Context) error
	log        io.Writer
	port       int
	held       io.Closer // reserves the port for Restart, until the garbage collector finds it

	op    sync.Mutex // one operation at a time; guards lock and leash
	lock  *os.File
	leash *leash
	proc  atomic.Pointer[process] // the latest process, running or not
}

// start runs the server at port; 0 takes a free one, and another one when somebody was faster.
func (s *server) start(ctx context.Context, port int) error {
	s.op.Lock()
	defer s.op.Unlock()
	for attempt := 1; ; attempt++ {
		s.port = port
		if port == 0 {
			var err error
			if s.port, s.held, err = freePort(); err != nil {
				s.release()
				return err
			}
		}
		err := s.boot(ctx)
		if err == nil || port != 0 {
			return err
		}
		_ = s.held.Close()
		if attempt == 10 || !errors.Is(err, errPortTaken) {
			return err
		}
	}
}

// boot starts one process and waits until it answers. On an error nothing is left running.
func (s *server) boot(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	cmd := s.command(s.port)
	cmd.ExtraFiles = []*os.File{s.lock}
	p, err := startProcess(cmd, s.stopSignal, s.log)
	if err != nil {
		s.release()
		return fmt.Errorf("run %s: %w", s.name, err)
	}
	s.proc.Store(p)
	if err := p.answers(ctx, s.ping); err != nil {
		p.asked.Store(true)
		return errors.Join(err, s.destroy(p))
	}
	return nil
}

// acquire locks the directory. A former server may just be shutting down, its owner having died: give it a moment.
func (s *server) acquire(ctx context.Context) error {
	if s.lock != nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Second, errors.New("waited for 5s"))
	defer cancel()
	lock, err := waitLock(ctx, s.dir)
	if err != nil {
		return err
	}
	s.lock = lock
	return nil
}

func (s *server) release() {
	if s.lock != nil {
		_ = s.lock.Close()
		s.lock = nil
	}
}

// destroy kills the whole tree of p and waits until none of it is left.
func (s *server) destroy(p *process) error {
	defer s.release()
	err := killTree(p)
	s.leash.drop()
	s.leash = nil
	return err
}

// Addr returns host:port. It stays the same across Restart.
func (s *server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// PID returns the id of the server's main process, the latest one if it has ended.
func (s *server) PID() int { return s.proc.Load().cmd.Process.Pid }

// Done returns a channel that is closed when the current main process has ended, for whatever reason. After Restart ask
// again: the new process has a new channel.
func (s *server) Done() <-chan struct{} { return s.proc.Load().done }

// Err returns nil as long as the server runs and after Stop and Kill; if the server ended by itself it says how, with the
// server's last words.
func (s *server) Err() error {
	p := s.proc.Load()
	if p.running() || p.asked.Load() {
		return nil
	}
	return fmt.Errorf("%s: %w", s.name, p.died())
}

// Stop shuts the server down in order (Postgres: a fast shutdown; Redis: with a save if it is configured to) and waits
// for its end. When ctx ends first, the server is killed and ctx's cause returned. Stopping a stopped server does nothing.
func (s *server) Stop(ctx context.Context) error {
	s.op.Lock()
	defer s.op.Unlock()
	return s.stop(ctx)
}

func (s *server) stop(ctx context.Context) error {
	p := s.proc.Load()
	p.asked.Store(true)
	defer s.release()
	if !p.running() {
		return nil
	}
	err := s.resume()
	if err == nil {
		err = p.cmd.Process.Signal(s.stopSignal)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return errors.Join(fmt.Errorf("stop %s: %w", s.name, err), s.destroy(p))
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("stop %s: %w; it was killed", s.name, context.Cause(ctx)), s.destroy(p))
	}
}

// Kill ends the server's whole process tree with SIGKILL and returns when none of it is left, so that Restart works at
// once. Killing a server that does not run does nothing.
func (s *server) Kill() error {
	s.op.Lock()
	defer s.op.Unlock()
	p := s.proc.Load()
	p.asked.Store(true)
	if err := s.destroy(p); err != nil {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	return nil
}

// Restart runs the server again at the same port with the same data, after an orderly Stop if it is still running, and
// returns when it answers.
func (s *server) Restart(ctx context.Context) error {
	s.op.Lock()
	defer s.op.Unlock()
	if err := s.stop(ctx); err != nil {
		return fmt.Errorf("restart %s: %w", s.name, err)
	}
	if err := s.boot(ctx); err != nil {
		return fmt.Errorf("restart %s: %w", s.name, err)
	}
	return nil
}
