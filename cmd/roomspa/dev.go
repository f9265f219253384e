package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/roomspa/roomspa/internal/tool/dev"
)

type devCmd struct {
	Dir      string `placeholder:"DIR" help:"Where the data is kept. Default: a directory of this user."`
	Reset    bool   `help:"Begin anew: forget what earlier starts left."`
	Users    int    `default:"3" help:"Demo users of each role: odd ids are customers, even ids therapists."`
	Replicas int    `default:"2" help:"Replicas to start."`
	Listen   string `default:"127.0.0.1:8000" env:"-" help:"The address in front of the replicas; where its port is taken, another one is chosen."`
	JSON     bool   `name:"json" help:"Print one JSON object instead of a text, once everything is ready."`
}

// Help is shown by --help.
func (*devCmd) Help() string {
	return `Needs nothing but the PostgreSQL and Redis programs. Data is kept from start to start.

Examples:
  roomspa dev
  roomspa dev --reset --users 10 --replicas 3`
}

// Run starts everything and keeps it running until Ctrl-C.
func (c *devCmd) Run(ctx context.Context, std streams) error {
	if c.Users < 1 || c.Replicas < 1 {
		return &exitError{2, fmt.Errorf("--users and --replicas must be 1 or more")}
	}
	dir, err := c.dir()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	return dev.Run(ctx, dev.Options{
		Dir: dir, Reset: c.Reset, Users: c.Users, Replicas: c.Replicas, Listen: c.Listen, JSON: c.JSON,
		Command: self, Out: std.Out, Err: std.Err,
	})
}

// dir is where the data is kept. Root's own home is closed to the user that
// Postgres then runs as, so root's data lies elsewhere.
func (c *devCmd) dir() (string, error) {
	if c.Dir != "" {
		return c.Dir, nil
	}
	if os.Getuid() == 0 {
		return "/var/tmp/roomspa-dev", nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the data: %w; name one with --dir", err)
	}
	return filepath.Join(cache, "roomspa-dev"), nil
}
