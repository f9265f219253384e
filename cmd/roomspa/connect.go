package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/roomspa/roomspa/internal/tool/client"
	"github.com/roomspa/roomspa/internal/tool/connect"
	"github.com/roomspa/roomspa/internal/tool/dev"
)

type connectCmd struct {
	URL string `arg:"" name:"url" help:"The endpoint, as in wss://host/ws/chat/1/2/; with --smoke the server, as in https://host."`

	Token      string        `placeholder:"TOKEN" group:"Who" help:"Access token."`
	TokenFile  string        `placeholder:"FILE" env:"-" group:"Who" help:"File that holds the access token. It is read again when the server refuses the token."`
	Identifier string        `placeholder:"EMAIL" group:"Who" help:"Email or phone to sign in with, again whenever a token has expired."`
	Password   string        `placeholder:"PASSWORD" group:"Who" help:"Password to sign in with; without it you are asked. Better in the environment than here."`
	Since      *int64        `placeholder:"SEQ" env:"-" group:"How" help:"Begin with the messages after this one."`
	Once       bool          `env:"-" group:"How" help:"Do not reconnect."`
	JSON       bool          `name:"json" env:"-" group:"How" help:"Print one JSON object a line for each event."`
	GiveUp     time.Duration `default:"1m" env:"-" group:"How" help:"Give up after so long without a connection; 0 for never."`

	Smoke          bool          `env:"-" group:"Smoke test" help:"Try test, chat and location, and say in three lines whether each works. Without credentials the demo users of roomspa dev are taken."`
	PeerIdentifier string        `placeholder:"EMAIL" group:"Smoke test" help:"The other side of the room."`
	PeerPassword   string        `placeholder:"PASSWORD" group:"Smoke test" help:"The other side's password. Default: the same."`
	Timeout        time.Duration `default:"10s" env:"-" group:"Smoke test" help:"How long each of the three may take."`
}

// Help is shown by --help.
func (*connectCmd) Help() string {
	return `Examples:
  roomspa connect wss://host/ws/test/
  roomspa connect wss://host/ws/chat/1/2/ --identifier ann@example.com
  roomspa connect https://host --smoke`
}

// Run talks to an endpoint, or tries all of them.
func (c *connectCmd) Run(ctx context.Context, std streams) error {
	if _, err := client.SocketURL(c.URL); err != nil {
		return &exitError{2, err}
	}
	if c.Smoke {
		return c.smoke(ctx, std)
	}
	o := client.SessionOptions{Socket: client.Options{URL: c.URL}, Since: c.Since, Once: c.Once, GiveUpAfter: c.GiveUp}
	if err := c.credentials(ctx, &o, std); err != nil {
		return &exitError{2, err}
	}
	return connect.Run(ctx, connect.Options{
		Session: o, In: std.In, Out: std.Out, Err: std.Err, JSON: c.JSON, Color: colored(std.Out),
	})
}

// accessToken is the token that is given; with an identifier there is none, and the
// password is asked for.
func (c *connectCmd) accessToken(ctx context.Context, std streams) (string, error) {
	var o client.SessionOptions
	err := c.credentials(ctx, &o, std)
	if err != nil || c.TokenFile == "" {
		return c.Token, err
	}
	return o.TokenSource(ctx, "")
}

// credentials decides where the tokens come from.
func (c *connectCmd) credentials(ctx context.Context, o *client.SessionOptions, std streams) error {
	given := 0
	for _, source := range []string{c.Token, c.TokenFile, c.Identifier} {
		if source != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("give one of --token, --token-file and --identifier")
	case c.Since != nil && *c.Since < 0:
		return errors.New("--since must be 0 or more")
	case c.TokenFile != "":
		o.TokenSource = client.TokenFile(c.TokenFile)
		_, err := o.TokenSource(ctx, "")
		return err
	case c.Identifier != "":
		if err := c.askPassword(ctx, std); err != nil {
			return err
		}
		o.TokenSource = client.Credentials{BaseURL: c.URL, Identifier: c.Identifier, Password: c.Password}.Source()
	default:
		o.Socket.Token = c.Token
	}
	return nil
}

func (c *connectCmd) smoke(ctx context.Context, std streams) error {
	if c.Token != "" || c.TokenFile != "" {
		return &exitError{2, errors.New("--smoke signs in itself: give --identifier and --peer-identifier, or neither")}
	}
	if (c.Identifier == "") != (c.PeerIdentifier == "") {
		return &exitError{2, errors.New("--smoke needs both sides: --identifier and --peer-identifier, or neither for the demo users")}
	}
	if c.Identifier == "" {
		c.Identifier, c.PeerIdentifier = dev.Demo(1).Email, dev.Demo(2).Email
		c.Password = cmp.Or(c.Password, dev.Password)
	} else if err := c.askPassword(ctx, std); err != nil {
		return &exitError{2, err}
	}
	good, err := connect.Smoke(ctx, connect.SmokeOptions{
		BaseURL: c.URL, Timeout: c.Timeout, Out: std.Out, Color: colored(std.Out),
		Own:  client.Credentials{Identifier: c.Identifier, Password: c.Password},
		Peer: client.Credentials{Identifier: c.PeerIdentifier, Password: cmp.Or(c.PeerPassword, c.Password)},
	})
	if err == nil && !good {
		return &exitError{1, errors.New("")} // the three lines have said it
	}
	return err
}

func (c *connectCmd) askPassword(ctx context.Context, std streams) (err error) {
	if c.Password == "" {
		c.Password, err = connect.AskPassword(ctx, std.In, std.Err, "Password of "+c.Identifier+": ")
	}
	return err
}

// colored follows https://no-color.org.
func colored(out io.Writer) bool {
	return connect.IsTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
