package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/unseen"
)

type tokenInspectCmd struct {
	databaseFlags
	Token      string   `arg:"" help:"Token, or - to read it from standard input, which keeps it out of the shell's history."`
	JWTSecrets []string `name:"jwt-secret" sep:"none" placeholder:"SECRET" help:"Secrets of the server, comma-separated. Without any key the signature is not checked."`
	SecretFile string   `name:"jwt-secret-file" placeholder:"FILE" help:"File with the secrets of the server, as serve takes it."`
	KeysFile   string   `name:"jwt-keys-file" placeholder:"FILE" help:"JSON file with the secrets and key ids of the server, as serve takes it."`
	JWKS       string   `name:"jwks" placeholder:"URL|FILE" help:"JWK Set of the server, if it uses one."`
	JSON       bool     `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is shown by --help.
func (*tokenInspectCmd) Help() string {
	return `Prints the claims of a token and why the server would refuse it, in the words of the close reasons. It never prints the
signature. It contacts only what is given: Postgres with --database-url, and the URL of --jwks.
It takes the secrets from the same flags and environment as serve. To judge a token as a replica does, run it with the
replica's environment. If the signature does not fit, it tries what the secret may have been meant to be (decoded,
encoded, without quotes or line breaks) and says which of these fits, without printing any part of it.
Exit code: 0 if the token would be accepted, as far as can be checked, 1 if not.

Examples:
  roomspa token mint 7 | roomspa token inspect -
  pbpaste | roomspa token inspect - --json
  (set -a; . /etc/roomspa/replica.env; roomspa token inspect - < token.txt)
  kubectl exec -i deploy/roomspa -- roomspa token inspect - < token.txt`
}

// Run inspects a token.
func (c *tokenInspectCmd) Run(ctx context.Context, std streams) error {
	if c.Token == "-" {
		text, err := io.ReadAll(io.LimitReader(std.In, 2*auth.MaxToken))
		if err != nil {
			return fmt.Errorf("read the token: %w", err)
		}
		if c.Token, err = unseen.File(text); err != nil {
			return fmt.Errorf("read the token: %w", err)
		}
	}
	keys, err := c.keys(ctx)
	if err != nil {
		return err
	}
	v := tokenVerdict{Inspection: keys.Inspect(c.Token, time.Now()), signature: "not checked: neither --jwt-secret nor --jwt-secret-file, --jwt-keys-file or --jwks is given"}
	switch {
	case v.Verified:
		v.signature = "valid"
	case keys != nil:
		v.signature = "invalid"
	}
	if v.Refusal != nil {
		v.reason, v.cause, v.detail, v.hint = v.Refusal.Reason, v.Refusal.Word, v.Refusal.Detail, v.Refusal.Hint
	} else if c.DatabaseURL != "" {
		if err := c.checkUser(ctx, &v); err != nil {
			return err
		}
	}
	if err := v.print(std.Out, c.JSON); err != nil {
		return err
	}
	if v.reason != "" {
		return errPrinted
	}
	return nil
}

// keys returns nil if no key is given.
func (c *tokenInspectCmd) keys(ctx context.Context) (*auth.Keys, error) {
	source := auth.SecretSource{Texts: c.JWTSecrets, File: c.SecretFile, KeysFile: c.KeysFile}
	given := 0
	for _, is := range []bool{len(auth.ParseSecrets(c.JWTSecrets...)) > 0, c.SecretFile != "", c.KeysFile != ""} {
		if is {
			given++
		}
	}
	if given == 0 && c.JWKS == "" {
		return nil, nil
	}
	keys := new(auth.Keys)
	switch {
	case given > 1:
		return nil, &exitError{2, errors.New("--jwt-secret, --jwt-secret-file and --jwt-keys-file exclude each other (ROOMSPA_JWT_SECRET, ROOMSPA_JWT_SECRET_FILE, ROOMSPA_JWT_KEYS_FILE)")}
	case given == 1:
		var err error
		if _, keys, err = auth.OpenSecretFile(source, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err != nil {
			return nil, &exitError{2, fmt.Errorf("secrets of the server: %w", err)}
		}
	}
	set, err := auth.NewJWKS(auth.JWKSOptions{Source: c.JWKS}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err == nil {
		_, err = set.Check(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("--jwks: %w", err)
	}
	return keys.WithJWKS(set), nil
}

// checkUser completes the verdict on a valid token with its user, as a handshake does.
func (c *tokenInspectCmd) checkUser(ctx context.Context, v *tokenVerdict) error {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	u, err := db.FindUser(ctx, strconv.FormatInt(int64(v.Parsed.UserID), 10))
	if err != nil && !errors.Is(err, room.ErrNotFound) {
		return err
	}
	if err == nil {
		v.user = &u
	}
	if v.reason = v.user.Refuses(v.Parsed.IssuedAt); v.reason != "" {
		v.detail = "The database refuses this user's token."
	}
	return nil
}

// A tokenVerdict is what is known of a token. The reason is empty if it would be accepted.
type tokenVerdict struct {
	auth.Inspection

	signature                   string
	reason, cause, detail, hint string
	user                        *room.User
}

func (v *tokenVerdict) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return v.printJSON(out)
	}
	var b strings.Builder
	line := func(name, text string) { fmt.Fprintf(&b, "%-10s %s\n", name, logging.Printable(text, " ")) }
	if v.Header != nil && v.Claims != nil {
		line("header", string(v.Header))
		line("claims", string(v.Claims))
	}
	if !v.Parsed.IssuedAt.IsZero() {
		line("issued", v.Parsed.IssuedAt.Format(time.RFC3339))
	}
	if !v.Parsed.ExpiresAt.IsZero() {
		line("expires", v.Parsed.ExpiresAt.Format(time.RFC3339))
	}
	line("signature", v.signature)
	if v.user != nil {
		line("user", fmt.Sprintf("%d, %s", v.user.ID, v.user.Role))
	}
	if v.reason == "" {
		line("accepted", "as far as it was checked")
	} else {
		line("refused", strings.TrimSuffix(v.reason+", "+v.cause, ", ")+": "+v.detail)
		if v.hint != "" {
			line("secret", v.hint)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (v *tokenVerdict) printJSON(out io.Writer) error {
	var user any
	if v.user != nil {
		user = userJSON(v.user)
	}
	return printJSON(out, struct {
		Header    json.RawMessage `json:"header,omitempty"`
		Claims    json.RawMessage `json:"claims,omitempty"`
		Signature string          `json:"signature"`
		Accepted  bool            `json:"accepted"`
		Reason    string          `json:"reason,omitempty"`
		Cause     string          `json:"cause,omitempty"`
		Detail    string          `json:"detail,omitempty"`
		Hint      string          `json:"hint,omitempty"`
		User      any             `json:"user,omitempty"`
	}{v.Header, v.Claims, v.signature, v.reason == "", v.reason, v.cause, v.detail, v.hint, user})
}
