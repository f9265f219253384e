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
	URL string `arg:"" name:"url" help:"URL of the endpoint, as in wss://host/ws/chat/1/2/; with --smoke that of the server, as in https://host."`

	Token      string        `placeholder:"TOKEN" group:"Credentials" help:"Access token."`
	TokenFile  string        `placeholder:"FILE" env:"-" group:"Credentials" help:"File with the access token. It is read again whenever the server refuses the token."`
	Identifier string        `placeholder:"EMAIL" group:"Credentials" help:"Email or phone to sign in with. A new token is requested whenever one has expired."`
	Password   string        `placeholder:"PASSWORD" group:"Credentials" help:"Password of the identifier. Default: ask for it. Prefer ROOMSPA_PASSWORD or ROOMSPA_PASSWORD_FILE, which other users of this machine cannot see."`
	Since      *int64        `placeholder:"SEQ" env:"-" group:"Connection" help:"Begin with a replay of the messages after this sequence number."`
	Once       bool          `env:"-" group:"Connection" help:"Do not reconnect."`
	JSON       bool          `name:"json" env:"-" group:"Connection" help:"Print one JSON object per event."`
	GiveUp     time.Duration `default:"1m" env:"-" group:"Connection" help:"Give up when there was no connection for this long; 0 for never."`

	Smoke          bool          `env:"-" group:"Smoke test" help:"Test the endpoints test, chat and location, and print one line for each. Without credentials, use the demo users of roomspa dev."`
	PeerIdentifier string        `placeholder:"EMAIL" group:"Smoke test" help:"Email or phone of the other side of the room."`
	PeerPassword   string        `placeholder:"PASSWORD" group:"Smoke test" help:"Password of the other side of the room. Default: the value of --password."`
	Timeout        time.Duration `default:"10s" env:"-" group:"Smoke test" help:"Time limit for each endpoint."`
}

// Help is shown by --help.
func (*connectCmd) Help() string {
	return `Each line of the input is sent: on /ws/chat/ as the text of a message, and on /ws/location/ as a position, which is
latitude,longitude in degrees, as in 13.7563,100.5018. A line that begins with { is sent as it is, as a frame of its own.

Examples:
  roomspa connect wss://host/ws/test/
  roomspa connect wss://host/ws/chat/1/2/ --identifier ann@example.com
  echo 13.7563,100.5018 | roomspa connect wss://host/ws/location/1/2/ --identifier ann@example.com
  roomspa connect https://host --smoke`
}

// Run runs the interactive client or the smoke test.
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

// accessToken returns the given token. With an identifier it returns none, and asks for the
// password.
func (c *connectCmd) accessToken(ctx context.Context, std streams) (string, error) {
	var o client.SessionOptions
	err := c.credentials(ctx, &o, std)
	if err != nil || c.TokenFile == "" {
		return c.Token, err
	}
	return o.TokenSource(ctx, "")
}

// credentials sets the source of the tokens.
func (c *connectCmd) credentials(ctx context.Context, o *client.SessionOptions, std streams) error {
	given := 0
	for _, source := range []string{c.Token, c.TokenFile, c.Identifier} {
		if source != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("--token, --token-file and --identifier exclude each other")
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
		return &exitError{2, errors.New("--smoke needs --identifier and --peer-identifier instead of a token, or neither for the demo users of roomspa dev")}
	}
	if (c.Identifier == "") != (c.PeerIdentifier == "") {
		return &exitError{2, errors.New("--smoke needs both --identifier and --peer-identifier, or neither for the demo users of roomspa dev")}
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
		return &exitError{1, errors.New("")} // the output has said it
	}
	return err
}

func (c *connectCmd) askPassword(ctx context.Context, std streams) (err error) {
	if c.Password == "" {
		c.Password, err = connect.AskPassword(ctx, std.In, std.Err, "Password of "+c.Identifier+": ")
	}
	return err
}

// colored reports whether to write colors (https://no-color.org).
func colored(out io.Writer) bool {
	return connect.IsTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
