package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/logging"
)

type serveCmd struct {
	app.Options
}

// Help is shown by --help.
func (*serveCmd) Help() string {
	return `Serves clients on --listen and operators on --ops-listen. It never migrates the schema.
On SIGTERM it drains: clients are asked one by one to reconnect elsewhere. A second signal skips that.
Exit code: 0 after a complete shutdown, 1 if a listener failed or not everything could be flushed, 2 for wrong usage.

Examples:
  roomspa serve --database-url postgres://roomspa@db/roomspa --redis-url redis://redis:6379/0 --jwt-secret "$SECRET"
  ROOMSPA_JWT_SECRET_FILE=/run/secrets/jwt roomspa serve`
}

// Run serves until a signal comes or the replica fails, then drains.
func (c *serveCmd) Run(ctx context.Context, std streams, parsed *kong.Context) error {
	log := logging.New(std.Out, logging.Options{Format: c.LogFormat, Level: c.LogLevel, Replica: c.Name()})
	if flags := secretFlags(parsed); len(flags) > 0 {
		logging.Component(log, slog.LevelWarn, "Replica", "Secrets on the command line: every user of this machine can read them there ("+
			strings.Join(flags, ", ")+"); use environment variables or files")
	}
	c.SecretFiles = secretFiles(parsed, os.Getenv)
	a, err := app.New(c.Options, version, log)
	if err != nil {
		return &exitError{2, err}
	}
	a.OwnProcess()
	if program, err := os.Executable(); err == nil { // otherwise this process verifies passwords itself
		a.DelegatePasswords(program, "hash-passwords")
	}
	running, finished := context.WithCancel(context.WithoutCancel(ctx))
	defer finished()
	context.AfterFunc(ctx, func() { // the first signal has come; the next one skips the drain
		hurry, stop := signal.NotifyContext(running, os.Interrupt, syscall.SIGTERM)
		defer stop()
		<-hurry.Done()
		a.Hurry()
	})
	return a.Run(ctx)
}

// secretFlags returns the flags on the command line that hold secrets.
func secretFlags(parsed *kong.Context) (flags []string) {
	for _, p := range parsed.Path {
		if p.Flag != nil && !p.Resolved && p.Flag.Tag.Get("secret") != "" {
			flags = append(flags, "--"+p.Flag.Name)
		}
	}
	return flags
}

// hashPasswordsCmd is the process that verifies passwords for serve.
type hashPasswordsCmd struct{}

// Run verifies passwords until standard input ends.
func (*hashPasswordsCmd) Run(std streams) error { return auth.ServePasswords(std.In, std.Out) }
