package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	URL string `arg:"" name:"url" help:"URL of the endpoint, as in wss://host/ws/chat/1/2/, or of the server, as in https://host."`

	Token      string `placeholder:"TOKEN" group:"Credentials" help:"Access token."`
	TokenFile  string `placeholder:"FILE" env:"-" group:"Credentials" help:"File with the access token."`
	Identifier string `placeholder:"EMAIL" group:"Credentials" help:"Email or phone to sign in with."`
	Password   string `placeholder:"PASSWORD" group:"Credentials" help:"Password of the identifier. Default: ask for it. Prefer ROOMSPA_PASSWORD or ROOMSPA_PASSWORD_FILE, which other users of this machine cannot see."`

	PeerIdentifier string `placeholder:"EMAIL" group:"Credentials" help:"Email or phone of the other side of the room, if the URL names no room."`
	PeerPassword   string `placeholder:"PASSWORD" group:"Credentials" help:"Password of the other side of the room. Default: the value of --password."`

	Origin string        `placeholder:"ORIGIN" env:"-" group:"Connection" help:"Connect also like a browser on a page of this origin, as in https://app.example.com. Its own origin is always tried."`
	Idle   time.Duration `placeholder:"90s" env:"-" group:"Connection" help:"Leave sockets silent and busy for this long, to measure the timeouts of proxies."`
	Send   bool          `env:"-" group:"Connection" help:"Store one message in the room, which both sides see."`
	Ops    []string      `placeholder:"URL" env:"-" group:"Connection" help:"Ops listener of a replica, as in http://10.0.0.7:9090, to use what the replica reports. May be repeated."`
	opsFlags
	CA      string        `name:"ca" placeholder:"FILE" env:"-" group:"Connection" help:"PEM file of certificates to trust in addition to the system's."`
	Timeout time.Duration `default:"4s" env:"-" group:"Connection" help:"Time limit for each wait. The whole ends after five times that, apart from --idle."`
	JSON    bool          `name:"json" env:"-" group:"Connection" help:"Print the report as one JSON object."`
}

// Help is shown by --help.
func (*diagnoseCmd) Help() string {
	return `Connects like each kind of client: name, all addresses, TLS, HTTP and the upgrade through all proxies, an echo, a browser,
an app, a ticket, a classic client, the room, and a message through Redis between two replicas. Cheap steps are repeated
ten times. The facts are judged at the end: each cause with its evidence and the cure for the side that can act.
What was not tested is listed. No message is stored without --send. Ctrl-C stops it and prints the results so far.
Exit code: 0 if there is no fault, 1 if there is one.

Examples:
  roomspa diagnose https://host
  roomspa diagnose https://host --identifier ann@example.com --peer-identifier bob@example.com
  roomspa diagnose wss://host/ws/chat/1/2/ --identifier ann@example.com --idle 90s
  roomspa diagnose wss://host/ws/chat/1/2/ --token-file token --ops http://10.0.0.7:9090 --ops http://10.0.0.8:9090 --json`
}

// Run runs the diagnosis and prints the report.
func (c *diagnoseCmd) Run(ctx context.Context, std streams) error {
	o, err := c.options(ctx, std)
	if err != nil {
		return &exitError{2, err}
	}
	text := &diagnose.Text{Out: std.Out, Terminal: connect.IsTerminal(std.Out), Color: colored(std.Out)}
	if c.JSON { // Out is for the report alone
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
		if err := printJSON(std.Out, report); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
	} else {
		text.Finish(report)
	}
	if !report.OK {
		return &exitError{1, errors.New("")} // the report explains it
	}
	return nil
}

func (c *diagnoseCmd) options(ctx context.Context, std streams) (o diagnose.Options, err error) {
	given := connectCmd{URL: c.URL, Token: c.Token, TokenFile: c.TokenFile, Identifier: c.Identifier, Password: c.Password}
	if err := diagnose.Valid(c.URL); err != nil {
		return o, err // before asking for a password
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
			return o, errors.New("--ops must be the URL of an ops listener, as in http://10.0.0.7:9090")
		}
	}
	if c.Idle < 0 || c.Timeout <= 0 {
		return o, errors.New("--idle must not be negative, and --timeout must be above 0")
	}
	o = diagnose.Options{
		URL: c.URL, Token: token, Identifier: given.Identifier, Password: given.Password,
		PeerIdentifier: c.PeerIdentifier, PeerPassword: cmp.Or(c.PeerPassword, given.Password),
		Origin: c.Origin, Idle: c.Idle, Send: c.Send, Ops: c.Ops, OpsToken: c.OpsToken, Timeout: c.Timeout, Limit: 5 * c.Timeout, CA: c.CA != "",
	}
	if c.CA != "" {
		o.TLS, err = trustFile(c.CA)
	}
	return o, err
}

// trustFile returns a configuration that trusts the certificates in a file in addition to the
// system's.
func trustFile(path string) (*tls.Config, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without certificates
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca: %s contains no PEM certificate", path)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}
