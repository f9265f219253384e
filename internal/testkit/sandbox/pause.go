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

// Pause freezes the server's whole process tree (SIGSTOP) and returns when all of it stands still: connections stay,
// new ones are taken by the kernel, nobody answers. It is an error if the server does not run.
func (s *server) Pause() error {
	s.op.Lock()
	defer s.op.Unlock()
	p := s.proc.Load()
	if !p.running() {
		return fmt.Errorf("pause %s: it is not running", s.name)
	}
	pids, err := freeze(p.pid())
	if err != nil {
		return fmt.Errorf("pause %s: %w", s.name, err)
	}
	if s.leash != nil {
		return nil
	}
	if s.leash, err = newLeash(pids); err != nil {
		return errors.Join(fmt.Errorf("pause %s: %w", s.name, err), s.destroy(p))
	}
	return nil
}

// Resume lets a paused server go on (SIGCONT). Resuming a server that is not paused does nothing.
func (s *server) Resume() error {
	s.op.Lock()
	defer s.op.Unlock()
	return s.resume()
}

func (s *server) resume() error {
	if s.leash == nil {
		return nil
	}
	s.leash.drop()
	s.leash = nil
	p := s.proc.Load()
	if !p.running() {
		return nil
	}
	pids, err := family(p.pid())
	if err != nil {
		return fmt.Errorf("resume %s: %w", s.name, err)
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT) // one that has gone in the meantime needs no waking
	}
	return nil
}

// leash kills processes when our own process ends. Paused processes need it: the signal that a child gets at its
// parent's death is not handled by one that is stopped, and Postgres' backends would stay frozen for ever.
type leash struct {
	cmd *exec.Cmd
	end io.Closer
}

func newLeash(pids []int) (*leash, error) {
	var words strings.Builder
	for _, pid := range pids {
		words.WriteString(" " + strconv.Itoa(pid))
	}
	// The pipe's other end is ours alone; it closes when we are gone, however that came.
	cmd := exec.Command("/bin/sh", "-c", "read -r _; kill -KILL"+words.String()) //nolint:gosec,noctx // numbers only; it must outlive any context
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	end, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("hold paused processes: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("hold paused processes: %w", err)
	}
	return &leash{cmd: cmd, end: end}, nil
}

// drop lets go without killing. A nil leash holds nothing.
func (l *leash) drop() {
	if l == nil {
		return
	}
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
	_ = l.end.Close()
}
