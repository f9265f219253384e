package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"syscall"
)

// ProgramOptions says how a program of the caller's runs.
type ProgramOptions struct {
	Name string // in errors
	// Dir holds a lock, and whatever the program keeps there. It is made if it is missing.
	Dir string
	// Command returns what is run, each time anew. Both ports are of 127.0.0.1 and stay the same across Restart.
	Command func(port, second int) *exec.Cmd
	// Answers returns nil when the program does what it is for.
	Answers func(ctx context.Context, port, second int) error
	// Log takes what the program writes, one goroutine at a time; nil drops it.
	Log io.Writer
}

// Program is a running program that can be paused, killed and restarted as the servers can: roomspa itself, for
// instance. SIGTERM asks it to end. Its methods may be called by several goroutines.
type Program struct {
	server

	second int
	holds  io.Closer
}

// StartProgram runs a program and returns when it answers. ctx bounds the start only; end the program with Stop or Kill.
func StartProgram(ctx context.Context, o ProgramOptions) (*Program, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	if err := (*account)(nil).makeDir(dir); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	p := &Program{}
	if p.second, p.holds, err = freePort(); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	p.name, p.dir, p.stopSignal, p.log = o.Name, dir, syscall.SIGTERM, o.Log
	p.command = func(port int) *exec.Cmd { return o.Command(port, p.second) }
	p.ping = func(ctx context.Context) error { return o.Answers(ctx, p.port, p.second) }
	if err := p.start(ctx, 0); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, errors.Join(err, p.holds.Close()))
	}
	return p, nil
}

// Second returns the program's second port.
func (p *Program) Second() int { return p.second }
