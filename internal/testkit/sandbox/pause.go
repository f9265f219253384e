package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Pause suspends the server's whole process tree (SIGSTOP). Connections stay open, and the kernel accepts new ones, but
// the server does not answer. It is an error if the server does not run.
func (s *server) Pause() error {
	s.op.Lock()
	defer s.op.Unlock()
	p := s.proc.Load()
	if !p.isRunning() {
		return fmt.Errorf("pause %s: it is not running", s.name)
	}
	pids, err := suspendTree(p.pid())
	if err != nil {
		return fmt.Errorf("pause %s: %w", s.name, err)
	}
	if s.reaper != nil {
		return nil
	}
	if s.reaper, err = newReaper(pids); err != nil {
		return errors.Join(fmt.Errorf("pause %s: %w", s.name, err), s.destroy(p))
	}
	return nil
}

// Resume continues a paused server (SIGCONT). It does nothing if the server is not paused.
func (s *server) Resume() error {
	s.op.Lock()
	defer s.op.Unlock()
	return s.resume()
}

func (s *server) resume() error {
	if s.reaper == nil {
		return nil
	}
	s.reaper.release()
	s.reaper = nil
	p := s.proc.Load()
	if !p.isRunning() {
		return nil
	}
	pids, err := processTree(p.pid())
	if err != nil {
		return fmt.Errorf("resume %s: %w", s.name, err)
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended meanwhile
	}
	return nil
}

// A reaper kills paused processes when our own process ends. The signal that a child gets at the death of its parent does
// not wake a suspended process, so the backends of Postgres would stay suspended for ever.
type reaper struct {
	cmd *exec.Cmd
	end io.Closer
}

func newReaper(pids []int) (*reaper, error) {
	var words strings.Builder
	for _, pid := range pids {
		words.WriteString(" " + strconv.Itoa(pid))
	}
	// The other end of the pipe is closed when our process ends, for whatever reason.
	cmd := exec.Command("/bin/sh", "-c", "read -r _; kill -KILL"+words.String()) //nolint:gosec,noctx // the arguments are numbers; it must outlive any context
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	end, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the reaper of paused processes: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the reaper of paused processes: %w", err)
	}
	return &reaper{cmd: cmd, end: end}, nil
}

// release stops the reaper without killing anything. It may be called on nil.
func (r *reaper) release() {
	if r == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	_ = r.end.Close()
}
