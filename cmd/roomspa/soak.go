package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/roomspa/roomspa/internal/tool/soak"
)

type soakCmd struct {
	Run   soakRunCmd   `cmd:"" default:"withargs" help:"Start replicas and stores, break them and the links between them for a while, and check that no message was lost."`
	Check soakCheckCmd `cmd:"" help:"Check the histories of an earlier run again."`
}

type soakRunCmd struct {
	For      time.Duration `default:"10m" env:"-" help:"Length of the run. A run of 10 minutes or more fails if it had too few messages, faults or reconnects."`
	Seed     uint64        `env:"-" help:"Seed of the plan of faults. Default: a random seed, which is printed."`
	Replicas int           `default:"3" env:"-" help:"Number of replicas to start."`
	Clients  int           `default:"77" env:"-" help:"Number of sockets of roomspa's protocol, seven per room."`
	Classic  int           `default:"22" env:"-" help:"Number of sockets of apps of the predecessor, which are added to the rooms in turn."`
	JS       int           `name:"js" default:"4" env:"-" help:"Number of sockets of the JavaScript client, each a process of Node, which are added to the rooms in turn. Without Node 18 or later they are left out."`
	Only     []string      `placeholder:"KIND,..." env:"-" help:"Kinds of faults to inject, as the plan prints them. Default: all. A long run does not fail for too few of anything then."`
	Rate     float64       `default:"450" env:"-" help:"Total messages per second over all clients."`
	Dir      string        `placeholder:"DIR" env:"-" help:"Empty directory for the histories and logs. Default: a new temporary directory, which is printed."`
}

// Run runs the soak. The exit code is 1 if there were violations, or if the run proves nothing.
func (c *soakRunCmd) Run(ctx context.Context, std streams) error {
	if c.For <= 0 || c.Replicas < 1 || c.Clients < 1 || c.Classic < 0 || c.JS < 0 || c.Rate <= 0 {
		return &exitError{2, errors.New("--for, --replicas, --clients and --rate must be above 0, and --classic and --js not below")}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if c.Dir == "" {
		if c.Dir, err = os.MkdirTemp("", "roomspa-soak-"); err != nil {
			return fmt.Errorf("make a directory for the histories: %w", err)
		}
	}
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	return resultError(soak.Run(ctx, soak.Options{
		For: c.For, Seed: c.Seed, Replicas: c.Replicas, Clients: c.Clients, Classic: c.Classic, JS: c.JS, Only: c.Only, Rate: c.Rate, Dir: c.Dir,
		Command: []string{self, "serve"}, Out: std.Out,
	}))
}

type soakCheckCmd struct {
	Dir string `arg:"" help:"Directory of the histories."`
}

// Run checks the histories. The exit code is 1 if there were violations.
func (c *soakCheckCmd) Run(_ context.Context, std streams) error {
	return resultError(soak.Check(c.Dir, std.Out))
}

func resultError(good bool, err error) error {
	if err == nil && !good {
		return &exitError{1, errors.New("")} // the output explains it
	}
	return err
}
