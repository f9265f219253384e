// Command roomspa is the server, and everything its operators need.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = "dev"

type commands struct {
	Serve    serveCmd    `cmd:"" help:"Run the server."`
	Dev      devCmd      `cmd:"" help:"Run everything on this machine for trying it out: Postgres, Redis, two replicas, demo users."`
	Migrate  migrateCmd  `cmd:"" help:"Bring the database's schema up to date."`
	Check    checkCmd    `cmd:"" help:"Is what a replica needs there? Each dependency, and what to do if not."`
	User     userCmd     `cmd:"" help:"Look after users: create, list, show, deactivate, sign out, erase."`
	Token    tokenCmd    `cmd:"" help:"Sign a token, or see what one says and why it would be refused."`
	Import   importCmd   `cmd:"" help:"Bring over what another system has."`
	Connect  connectCmd  `cmd:"" help:"Chat or follow a position from the terminal, and see every frame and close code in words."`
	Diagnose diagnoseCmd `cmd:"" help:"Walk the way of a client, and name the cause and the cure of what is wrong."`
	Explain  explainCmd  `cmd:"" help:"Tell the story of a connection that failed, by its reference: where, why, and what to do."`
	Soak     soakCmd     `cmd:"" help:"Break replicas, Postgres, Redis and every link for a while, and judge whether a message was lost."`
	Bench    benchCmd    `cmd:"" help:"Load a deployment, and say how many sockets and messages it holds and at what cost."`

	Completion completionCmd `cmd:"" help:"Let a shell complete commands and flags."`
	Complete   completeCmd   `cmd:"" hidden:""`

	HashPasswords hashPasswordsCmd `cmd:"" hidden:"" help:"Work on passwords for a server: serve runs it by itself."`

	Version kong.VersionFlag `env:"-" help:"Print the version and exit."`
}

// streams are the program's input and outputs.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// An exitError carries an exit code: 1 for a check that failed, 2 for wrong usage.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run runs one command, and returns the exit code: 0 good, 1 failed, 2 wrong usage.
func run(args []string, std streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	parser, err := kong.New(&c,
		kong.Name("roomspa"),
		kong.Description("Realtime chat and live location between customers and therapists."),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.DefaultEnvars("ROOMSPA"),
		kong.Resolvers(fromFiles(os.Getenv)),
		kong.Vars{"version": version},
		kong.Writers(std.Out, std.Err),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
		kong.PostBuild(optional),
	)
	if err != nil {
		return fail(std, 2, err)
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

func commandOf(err error) string {
	if p, ok := errors.AsType[*kong.ParseError](err); ok && p.Context != nil && p.Context.Command() != "" {
		return strings.Fields(p.Context.Command())[0] + " "
	}
	return ""
}

// withVariables reminds of the other way to set what is missing.
func withVariables(err error) error {
	if strings.HasPrefix(err.Error(), "missing flags") {
		return fmt.Errorf("%w (or the environment: --some-flag is ROOMSPA_SOME_FLAG, or a file named by ROOMSPA_SOME_FLAG_FILE)", err)
	}
	return err
}

func fail(std streams, code int, err error) int {
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintln(std.Err, "roomspa: "+text) // where should a failure of this go
	}
	return code
}

// fromFiles resolves every flag --x-y from the file that ROOMSPA_X_Y_FILE names:
// that is how Kubernetes and Docker hand secrets over. A list may have an entry a
// line. Where the variable is that of another flag, that one reads the file.
func fromFiles(env func(string) string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
		name := "ROOMSPA_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		path := env(name + "_FILE")
		if path == "" || slices.ContainsFunc(parent.Flags, func(f *kong.Flag) bool { return slices.Contains(f.Envs, name+"_FILE") }) {
			return nil, nil
		}
		if env(name) != "" {
			return nil, fmt.Errorf("both %s and %s_FILE are set: unset one", name, name)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read %s_FILE: %w", name, err)
		}
		value := strings.TrimRight(string(text), "\r\n")
		if flag.IsSlice() {
			value = strings.Join(strings.FieldsFunc(value, func(r rune) bool { return r == '\r' || r == '\n' }), ",") // empty lines do not count
		}
		return value, nil
	})
}
