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

// ProgramOptions configures a program of the caller.
type ProgramOptions struct {
	Name string // in errors
	// Dir holds a lock and any data of the program. It is created if it does not exist.
	Dir string
	// Command returns a new command for each start. Both ports are on 127.0.0.1 and stay the same across Restart.
	Command func(port, second int) *exec.Cmd
	// Answers returns nil when the program works.
	Answers func(ctx context.Context, port, second int) error
	// Log receives the output of the program, from one goroutine at a time; nil discards it.
	Log io.Writer
}

// Program is a running program that can be paused, killed and restarted like the servers: roomspa itself, for instance.
// Stop sends SIGTERM. Its methods are safe for concurrent use.
type Program struct {
	server

	second int
	held   io.Closer // reserves the second port
}

// StartProgram starts a program and returns when it answers. ctx bounds only the start; stop the program with Stop or Kill.
func StartProgram(ctx context.Context, o ProgramOptions) (*Program, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	if err := (*account)(nil).makeDir(dir); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	p := &Program{}
	if p.second, p.held, err = freePort(); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	p.name, p.dir, p.stopSignal, p.log = o.Name, dir, syscall.SIGTERM, o.Log
	p.command = func(port int) *exec.Cmd { return o.Command(port, p.second) }
	p.ping = func(ctx context.Context) error { return o.Answers(ctx, p.port, p.second) }
	if err := p.start(ctx, 0); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, errors.Join(err, p.held.Close()))
	}
	return p, nil
}

// Second returns the program's second port.
func (p *Program) Second() int { return p.second }
