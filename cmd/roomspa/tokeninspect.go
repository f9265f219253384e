package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
)

type tokenInspectCmd struct {
	anyDatabase
	Token string `arg:"" help:"The token; - reads it from standard input, which leaves it in no shell's history."`
	tokenKeys
	JSON bool `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is shown by --help.
func (*tokenInspectCmd) Help() string {
	return `Says what a token says and why it would be refused, in the words of the close reasons. The signature is never
printed. Nothing is contacted but what is named: --database-url is asked for the user, a URL of --jwks for the keys.
Exit code: 0 if the token would be accepted, as far as can be seen, 1 if not.

Examples:
  roomspa token mint 7 | roomspa token inspect -
  pbpaste | roomspa token inspect - --json`
}

// Run takes a token apart.
func (c *tokenInspectCmd) Run(ctx context.Context, std streams) error {
	if c.Token == "-" {
		text, err := io.ReadAll(io.LimitReader(std.In, 2*auth.MaxToken))
		if err != nil {
			return fmt.Errorf("read the token: %w", err)
		}
		c.Token = strings.TrimSpace(string(text))
	}
	keys, err := c.keys(ctx)
	if err != nil {
		return err
	}
	v := judged{Inspection: keys.Inspect(strings.TrimPrefix(c.Token, "Bearer "), time.Now()), Signature: "not checked: no --jwt-secret is given"}
	switch {
	case v.Verified:
		v.Signature = "good"
	case keys != nil:
		v.Signature = "not good"
	}
	if v.Refusal != nil {
		v.Reason, v.Cause, v.Detail = v.Refusal.Reason, v.Refusal.Word, v.Refusal.Detail
	} else if c.DatabaseURL != "" {
		if err := v.ask(ctx, &c.database, strconv.FormatInt(int64(v.Says.UserID), 10)); err != nil {
			return err
		}
	}
	err = v.print(std.Out, c.JSON)
	if err == nil && v.Reason != "" {
		err = &exitError{1, errors.New("")} // it has been said
	}
	return err
}

func (v *judged) printJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Header    json.RawMessage `json:"header,omitempty"`
		Claims    json.RawMessage `json:"claims,omitempty"`
		Signature string          `json:"signature"`
		Accepted  bool            `json:"accepted"`
		Reason    string          `json:"reason,omitempty"`
		Cause     string          `json:"cause,omitempty"`
		Detail    string          `json:"detail,omitempty"`
		User      any             `json:"user,omitempty"`
	}{v.Header, v.Claims, v.Signature, v.Reason == "", v.Reason, v.Cause, v.Detail, v.user()})
}
