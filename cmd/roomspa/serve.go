package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/logging"
)

type serveCmd struct {
	app.Options
}

// Help is shown by --help.
func (*serveCmd) Help() string {
	return `Answers clients on --listen and operators on --ops-listen. It never migrates the schema. SIGTERM drains: sockets are
asked to leave one after the other.

Examples:
  roomspa serve --database-url postgres://roomspa@db/roomspa --redis-url redis://redis:6379/0 --jwt-secret "$SECRET"
  ROOMSPA_JWT_SECRET_FILE=/run/secrets/jwt roomspa serve`
}

// Run serves until a signal comes, then drains. A second signal ends it at once.
func (c *serveCmd) Run(ctx context.Context, std streams) error {
	log := logging.New(std.Out, logging.Options{Format: c.LogFormat, Level: c.LogLevel, Replica: c.Name()})
	a, err := app.New(c.Options, version, log)
	if err != nil {
		return &exitError{2, err}
	}
	a.LimitHeap()
	if program, err := os.Executable(); err == nil { // else passwords are worked on here
		a.HashWith(program, "hash-passwords")
	}
	if err := a.Start(); err != nil {
		return err
	}
	app.ReturnMemory(ctx)
	hurry, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return a.Stop(hurry)
}

// hashPasswordsCmd is what serve runs to have passwords worked on.
type hashPasswordsCmd struct{}

// Run answers until its input ends.
func (*hashPasswordsCmd) Run(std streams) error { return auth.ServePasswords(std.In, std.Out) }
