// Package sandbox starts private Postgres and Redis servers: for `roomspa dev`, which keeps their data in a directory, and
// for tests, which stop, pause and kill them.
//
// It owns the processes, their directories, their ports on 127.0.0.1 and their random passwords. It downloads nothing, does
// not emulate servers in memory, and does not touch other servers. Schemas and keys belong to the caller. It runs on Unix
// only.
//
// On Linux the servers end with the process that started them, even if that is killed with SIGKILL. Elsewhere they keep
// running, and the next start fails. They have their own process groups: a Ctrl-C in the terminal reaches only the caller,
// which can then stop them in order.
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

// StartStores starts both stores concurrently. After an error it returns those that run.
func StartStores(ctx context.Context, po PostgresOptions, ro RedisOptions) (p *Postgres, r *Redis, err error) {
	var wg sync.WaitGroup
	var pgErr, redisErr error
	wg.Go(func() { p, pgErr = StartPostgres(ctx, po) })
	wg.Go(func() { r, redisErr = StartRedis(ctx, ro) })
	wg.Wait()
	return p, r, errors.Join(pgErr, redisErr)
}

// killLimit bounds the wait for the end of a killed process tree. It takes milliseconds, except on an overloaded machine.
const killLimit = time.Minute

var errPortTaken = errors.New("the port is taken")

// A server is what Postgres, Redis and programs have in common: a process tree with a port and a directory.
type server struct {
	name       string         // in errors
	dir        string         // locked while the server runs
	stopSignal syscall.Signal // asks the process to shut down
	command    func(port int) *exec.Cmd
	ping       func(context.Context) error
	log        io.Writer
	port       int
	held       io.Closer // reserves the port for Restart until it is garbage collected

	op     sync.Mutex // serialises operations; guards lock and reaper
	lock   *os.File
	reaper *reaper
	proc   atomic.Pointer[process] // the latest process, which may have ended
}

// start starts the server at a port. For 0 it takes a free port, and tries another one if that port is taken meanwhile.
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

// boot starts one process and waits until it answers. After an error no process is running.
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
	if err := p.waitForAnswer(ctx, s.ping); err != nil {
		p.stopRequested.Store(true)
		return errors.Join(err, s.destroy(p))
	}
	return nil
}

// acquire locks the directory. It waits for a moment, since a server whose owner has died may be shutting down.
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

// destroy kills the process tree of p and waits for its end.
func (s *server) destroy(p *process) error {
	defer s.release()
	err := killTree(p)
	s.reaper.release()
	s.reaper = nil
	return err
}

// Addr returns the server's host:port. It stays the same across Restart.
func (s *server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Dir returns the directory of the server.
func (s *server) Dir() string { return s.dir }

// PID returns the process id of the server's latest main process.
func (s *server) PID() int { return s.proc.Load().cmd.Process.Pid }

// Done returns a channel that is closed when the current main process has ended, for whatever reason. Restart starts a
// process with a new channel.
func (s *server) Done() <-chan struct{} { return s.proc.Load().done }

// Err returns nil while the server runs and after Stop and Kill. If the server ended by itself, the error says how and
// quotes the end of its output.
func (s *server) Err() error {
	p := s.proc.Load()
	if p.isRunning() || p.stopRequested.Load() {
		return nil
	}
	return fmt.Errorf("%s %w", s.name, p.endError())
}

// Stop shuts the server down and waits for its end. Postgres performs a fast shutdown, and Redis saves its data if it is
// configured to. If ctx ends first, Stop kills the server and returns ctx's cause. It does nothing if the server has
// stopped.
func (s *server) Stop(ctx context.Context) error {
	s.op.Lock()
	defer s.op.Unlock()
	return s.stop(ctx)
}

func (s *server) stop(ctx context.Context) error {
	p := s.proc.Load()
	p.stopRequested.Store(true)
	defer s.release()
	if !p.isRunning() {
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
		return errors.Join(fmt.Errorf("stop %s: %w; killed it instead", s.name, context.Cause(ctx)), s.destroy(p))
	}
}

// Kill kills the server's whole process tree with SIGKILL and waits for its end. It does nothing if the server does not
// run.
func (s *server) Kill() error {
	s.op.Lock()
	defer s.op.Unlock()
	p := s.proc.Load()
	p.stopRequested.Store(true)
	if err := s.destroy(p); err != nil {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	return nil
}

// Restart starts the server again with the same port and data, and returns when it answers. If the server still runs,
// Restart stops it first.
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
