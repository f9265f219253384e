package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/tool/connect"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

type diagnoseCmd struct {
	URL string `arg:"" name:"url" help:"The endpoint, as in wss://host/ws/chat/1/2/; or the server, as in https://host."`

	Token      string `placeholder:"TOKEN" group:"Who" help:"Access token."`
	TokenFile  string `placeholder:"FILE" env:"-" group:"Who" help:"File that holds the access token."`
	Identifier string `placeholder:"EMAIL" group:"Who" help:"Email or phone to sign in with."`
	Password   string `placeholder:"PASSWORD" group:"Who" help:"Password to sign in with; without it you are asked. Better in the environment than here."`

	PeerIdentifier string `placeholder:"EMAIL" group:"Who" help:"Email or phone of the other side, where the URL names no room: it is then the room of both."`
	PeerPassword   string `placeholder:"PASSWORD" group:"Who" help:"The other side's password. Default: the same."`

	Origin  string        `placeholder:"ORIGIN" env:"-" group:"How" help:"Connect as a browser would from a page of this origin, as in https://app.example.com."`
	Idle    time.Duration `placeholder:"90s" env:"-" group:"How" help:"Leave a socket silent for so long, to measure the time-out of a proxy."`
	Ops     []string      `placeholder:"URL" env:"-" group:"How" help:"Ops listener of a replica, as in http://10.0.0.7:9090, to see the inside too. May be repeated."`
	CA      string        `name:"ca" placeholder:"FILE" env:"-" group:"How" help:"Certificates (PEM) of the private authority to trust, beside the system's."`
	Timeout time.Duration `default:"10s" env:"-" group:"How" help:"How long one thing may take."`
	JSON    bool          `name:"json" env:"-" group:"How" help:"Print one JSON object at the end."`
}

// Help is shown by --help.
func (*diagnoseCmd) Help() string {
	return `Walks the way of a client, a step a line, and stops at what is wrong: the name, TCP, TLS, HTTP and the upgrade through
all proxies, an echo, the token, the room, a message through Redis between two replicas. Names the cause and the cure.
No message is stored, and the other side of the room sees nothing. Ctrl-C ends it with what is known so far.
Exit code: 0 if all is well, 1 if not.

Examples:
  roomspa diagnose https://host
  roomspa diagnose https://host --identifier ann@example.com --peer-identifier bob@example.com
  roomspa diagnose wss://host/ws/chat/1/2/ --identifier ann@example.com --idle 90s
  roomspa diagnose wss://host/ws/chat/1/2/ --token-file token --ops http://10.0.0.7:9090 --ops http://10.0.0.8:9090 --json`
}

// Run diagnoses, and prints what was found.
func (c *diagnoseCmd) Run(ctx context.Context, std streams) error {
	o, err := c.options(ctx, std)
	if err != nil {
		return &exitError{2, err}
	}
	text := &diagnose.Text{Out: std.Out, Terminal: connect.IsTerminal(std.Out), Color: colored(std.Out)}
	if c.JSON { // what a machine reads must not be mixed with what a person waits for
		text = &diagnose.Text{Out: std.Err, Terminal: connect.IsTerminal(std.Err), Color: colored(std.Err)}
	}
	if !c.JSON || text.Terminal {
		o.Watch = text
	}
	report, err := diagnose.Run(ctx, o)
	if err != nil {
		return &exitError{2, err}
	}
	if c.JSON {
		e := json.NewEncoder(std.Out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(report); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
	} else {
		text.Conclude(report)
	}
	if !report.OK {
		return &exitError{1, errors.New("")} // the report has said it
	}
	return nil
}

func (c *diagnoseCmd) options(ctx context.Context, std streams) (o diagnose.Options, err error) {
	given := connectCmd{URL: c.URL, Token: c.Token, TokenFile: c.TokenFile, Identifier: c.Identifier, Password: c.Password}
	if err := diagnose.Valid(c.URL); err != nil {
		return o, err // before a password is asked for
	}
	if c.PeerIdentifier != "" && c.Identifier == "" {
		return o, errors.New("--peer-identifier needs --identifier")
	}
	token, err := given.accessToken(ctx, std)
	if err != nil {
		return o, err
	}
	for _, ops := range c.Ops {
		if u, err := url.Parse(ops); err != nil || u.Host == "" || !strings.HasPrefix(u.Scheme, "http") {
			return o, errors.New("--ops takes the URL of an ops listener, as in http://10.0.0.7:9090")
		}
	}
	if c.Idle < 0 || c.Timeout <= 0 {
		return o, errors.New("--idle and --timeout must not be negative")
	}
	o = diagnose.Options{
		URL: c.URL, Token: token, Identifier: given.Identifier, Password: given.Password,
		PeerIdentifier: c.PeerIdentifier, PeerPassword: cmp.Or(c.PeerPassword, given.Password),
		Origin: c.Origin, Idle: c.Idle, Ops: c.Ops, Timeout: c.Timeout,
	}
	if c.CA != "" {
		o.TLS, err = trusting(c.CA)
	}
	return o, err
}

// trusting trusts the certificates in a file beside the system's.
func trusting(path string) (*tls.Config, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without any still trusts the file
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca: %s holds no certificate in PEM", path)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}
