// Command roomspa is the server and the tools of its operators.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/postgres"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = "dev"

type commands struct {
	Serve     serveCmd     `cmd:"" help:"Run the server."`
	Dev       devCmd       `cmd:"" help:"Run everything on this machine to try it out: Postgres, Redis, two replicas and demo users."`
	Migrate   migrateCmd   `cmd:"" help:"Migrate the database schema."`
	Check     checkCmd     `cmd:"" help:"Check what a replica needs: configuration, Postgres, schema, Redis and tokens."`
	User      userCmd      `cmd:"" help:"Manage users: create, list, show, deactivate, sign out, erase."`
	Token     tokenCmd     `cmd:"" help:"Sign access tokens, or inspect them."`
	Message   messageCmd   `cmd:"" help:"Send system messages to both sides of a room."`
	Key       keyCmd       `cmd:"" help:"Rotate the key that protects what replicas put into Redis."`
	Report    reportCmd    `cmd:"" help:"Read and close what users have reported."`
	Adopt     adoptCmd     `cmd:"" help:"Take over the data of a predecessor in the same database, and give it back."`
	Retention retentionCmd `cmd:"" help:"Delete old messages."`
	Connect   connectCmd   `cmd:"" help:"Chat or follow a position from the terminal, with every frame and close code explained."`
	Diagnose  diagnoseCmd  `cmd:"" help:"Test a deployment step by step as a client, and print the cause of a failure and its cure."`
	Explain   explainCmd   `cmd:"" help:"Print why a connection failed and what to do, by its reference."`
	Ctl       ctlCmd       `cmd:"" help:"Look into all replicas while they run: sockets, rates, log levels, traces; close sockets."`
	Soak      soakCmd      `cmd:"" help:"Inject faults into replicas, Postgres, Redis and the network, and check that no message is lost."`
	Bench     benchCmd     `cmd:"" help:"Load a deployment, and measure sockets, messages, latency and cost."`

	VersionCmd versionCmd    `cmd:"" name:"version" help:"Print the version, the commit and the version of Go."`
	Completion completionCmd `cmd:"" help:"Print a shell completion script."`
	Complete   completeCmd   `cmd:"" hidden:""`

	HashPasswords hashPasswordsCmd `cmd:"" hidden:"" help:"Verify passwords for serve, which starts this by itself."`

	Version kong.VersionFlag `env:"-" help:"Print the version and exit."`
}

// streams are standard input, output and error.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// An exitError ends the program with an exit code: 2 for wrong usage. All other errors
// end it with 1.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// errPrinted ends the program with exit code 1 and no message: the output tells why.
var errPrinted = errors.New("")

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run runs one command, and returns the exit code: 0 for success, 1 for failure, 2 for
// wrong usage.
func run(args []string, std streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	postgres.IgnoreEnvironment() // of every command, also of those that start a Postgres
	var c commands
	parser, err := kong.New(&c, append(lists(),
		kong.Name("roomspa"),
		kong.Description("Realtime chat and live location between customers and therapists."),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.DefaultEnvars("ROOMSPA"),
		kong.Resolvers(fromFiles(os.Getenv)),
		kong.Vars{"version": version, "ops": defaultOps},
		kong.Writers(std.Out, std.Err),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
		kong.PostBuild(relax),
	)...)
	if err != nil {
		return fail(std, 2, err)
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return fail(std, 2, fmt.Errorf("%w; try roomspa %s--help", withVariables(err), commandOf(err)))
	}
	if err := parsed.Run(); err != nil {
		code := 1
		if e, ok := errors.AsType[*exitError](err); ok {
			code = e.code
		}
		return fail(std, code, err)
	}
	return 0
}

// commandOf returns the command that could not be parsed, with a space, or "".
func commandOf(err error) string {
	if p, ok := errors.AsType[*kong.ParseError](err); ok && p.Context != nil && p.Context.Command() != "" {
		return strings.Fields(p.Context.Command())[0] + " "
	}
	return ""
}

// withVariables adds how to set missing flags by environment variables.
func withVariables(err error) error {
	if strings.HasPrefix(err.Error(), "missing flags") {
		return fmt.Errorf("%w (or the environment: --some-flag is ROOMSPA_SOME_FLAG, or a file named by ROOMSPA_SOME_FLAG_FILE)", err)
	}
	return err
}

func fail(std streams, code int, err error) int {
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintln(std.Err, "roomspa: "+logging.Printable(text, "\n")) // there is nowhere else to write
	}
	return code
}

// printJSON prints one indented JSON object.
func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
