package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/roomspa/roomspa/internal/tool/adopt"
	"github.com/roomspa/roomspa/internal/tool/dev"
)

type devCmd struct {
	Dir      string `placeholder:"DIR" help:"Directory of the data. Default: roomspa-dev in the cache directory of this user (roomspa-dev-classic with --classic)."`
	Reset    bool   `help:"Delete the data of earlier starts."`
	Users    int    `default:"3" help:"Number of demo users of each role. Odd ids are customers, even ids therapists."`
	Replicas int    `default:"2" help:"Number of replicas to start."`
	Listen   string `default:"127.0.0.1:8000" env:"-" help:"Address of the load balancer in front of the replicas. If its port is in use, a free one is taken."`
	Classic  bool   `help:"Serve apps of the predecessor too (--classic-clients). Users and chat are in tables like the predecessor's, and adopted."`
	JSON     bool   `name:"json" help:"Print one JSON object when everything is ready."`
}

// Help is shown by --help.
func (*devCmd) Help() string {
	return `Needs only the PostgreSQL and Redis programs. Data is kept between starts.

Examples:
  roomspa dev
  roomspa dev --reset --users 10 --replicas 3
  roomspa dev --classic`
}

// Run runs the deployment until Ctrl-C.
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
		Classic: c.Classic, LoadClassic: adopt.LoadDemo,
		Command: self, Out: std.Out, Err: std.Err,
	})
}

// dir returns the directory of the data. For root it is outside the home directory, which the
// user that Postgres runs as cannot enter.
func (c *devCmd) dir() (string, error) {
	if c.Dir != "" {
		return c.Dir, nil
	}
	name := "roomspa-dev"
	if c.Classic {
		name += "-classic"
	}
	if os.Getuid() == 0 {
		return "/var/tmp/" + name, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a directory for the data: %w; name one with --dir", err)
	}
	return filepath.Join(cache, name), nil
}
