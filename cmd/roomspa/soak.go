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
	Run   soakRunCmd   `cmd:"" default:"withargs" help:"Break everything that can be broken for a while, and judge whether a message was lost."`
	Check soakCheckCmd `cmd:"" help:"Judge histories that were written earlier."`
}

type soakRunCmd struct {
	For      time.Duration `default:"10m" env:"-" help:"How long. A run of 10 minutes or more must have had enough of everything to count."`
	Seed     uint64        `env:"-" help:"Decides the faults; the same seed plans the same. Default: a random one, which is printed."`
	Replicas int           `default:"3" env:"-" help:"Replicas to start."`
	Clients  int           `default:"75" env:"-" help:"Sockets, five to a room."`
	Rate     float64       `default:"450" env:"-" help:"Messages a second, of all clients together."`
	Dir      string        `placeholder:"DIR" env:"-" help:"Where the histories and logs are written; must be empty. Default: a new temporary directory, which is printed."`
}

// Run soaks. Exit code 1 says that something was lost, or nothing proven.
func (c *soakRunCmd) Run(ctx context.Context, std streams) error {
	if c.For <= 0 || c.Replicas < 1 || c.Clients < 1 || c.Rate <= 0 {
		return &exitError{2, errors.New("--for, --replicas, --clients and --rate must be above 0")}
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
	return verdict(soak.Run(ctx, soak.Options{
		For: c.For, Seed: c.Seed, Replicas: c.Replicas, Clients: c.Clients, Rate: c.Rate, Dir: c.Dir,
		Command: []string{self, "serve"}, Out: std.Out,
	}))
}

type soakCheckCmd struct {
	Dir string `arg:"" help:"The directory that a run has written."`
}

// Run judges. Exit code 1 says that something was lost.
func (c *soakCheckCmd) Run(_ context.Context, std streams) error {
	return verdict(soak.Check(c.Dir, std.Out))
}

func verdict(good bool, err error) error {
	if err == nil && !good {
		return &exitError{1, errors.New("")} // the output has said it
	}
	return err
}
