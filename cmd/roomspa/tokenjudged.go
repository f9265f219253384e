package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
)

// A judged token is what is known of it in the end. Reason is why it is refused, ""
// if it is not.
type judged struct {
	auth.Inspection

	Signature             string
	Reason, Cause, Detail string
	of                    *room.User
}

// ask judges a good token by its user, as a handshake does.
func (v *judged) ask(ctx context.Context, d *database, id string) error {
	db, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	u, err := db.FindUser(ctx, id)
	if err != nil && !errors.Is(err, room.ErrNotFound) {
		return err
	}
	if err == nil {
		v.of = &u
	}
	if v.Reason = v.of.Refuses(v.Says.IssuedAt); v.Reason != "" {
		v.Detail = "The store refuses this user's token."
	}
	return nil
}

func (v *judged) user() any {
	if v.of == nil {
		return nil
	}
	return userJSON(v.of)
}

// print prints the verdict, and never the signature.
func (v *judged) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return v.printJSON(out)
	}
	var b strings.Builder
	line := func(name, text string) { fmt.Fprintf(&b, "%-10s %s\n", name, text) }
	if v.Header != nil && v.Claims != nil {
		line("header", string(v.Header))
		line("claims", string(v.Claims))
	}
	if !v.Says.IssuedAt.IsZero() {
		line("issued", v.Says.IssuedAt.Format(time.RFC3339))
	}
	if !v.Says.ExpiresAt.IsZero() {
		line("expires", v.Says.ExpiresAt.Format(time.RFC3339))
	}
	line("signature", v.Signature)
	if v.of != nil {
		line("user", fmt.Sprintf("%d, %s", v.of.ID, v.of.Role))
	}
	if v.Reason == "" {
		line("accepted", "as far as can be seen from here")
	} else {
		line("refused", strings.TrimSuffix(v.Reason+", "+v.Cause, ", ")+": "+v.Detail)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
