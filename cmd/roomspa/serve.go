package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/logging"
)

type serveCmd struct {
	app.Options
}

// Run serves until a signal comes, then drains. A second signal ends it at once.
func (c *serveCmd) Run(ctx context.Context, std streams) error {
	log := logging.New(std.Out, logging.Options{Format: c.LogFormat, Level: c.LogLevel, Replica: c.Name()})
	a, err := app.New(c.Options, version, log)
	if err != nil {
		return &exitError{2, err}
	}
	if err := a.Start(); err != nil {
		return err
	}
	<-ctx.Done()
	hurry, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return a.Stop(hurry)
}
