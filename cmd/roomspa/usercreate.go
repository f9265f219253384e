package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/connect"
	"github.com/roomspa/roomspa/internal/unseen"
)

type userCreateCmd struct {
	databaseFlags
	Email        string      `env:"-" placeholder:"EMAIL" help:"E-mail address, for signing in. Required without --phone."`
	Phone        string      `env:"-" placeholder:"PHONE" help:"Phone number, for signing in. Blanks, dashes, dots, slashes and brackets do not count."`
	Name         string      `env:"-" placeholder:"NAME" help:"Name. Only clients of the predecessor show it."`
	Role         string      `required:"" env:"-" enum:"customer,therapist,support" placeholder:"ROLE" help:"Role: customer, therapist or support."`
	ID           room.UserID `name:"id" env:"-" placeholder:"ID" help:"User id. Default: the next free one."`
	PasswordFile string      `placeholder:"FILE" help:"File with the password in its first line, or - for standard input. Default: prompt for it."`
	NoPassword   bool        `env:"-" help:"Create the user without a password. They cannot sign in, but tokens can be minted for them."`
	JSON         bool        `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is shown by --help.
func (*userCreateCmd) Help() string {
	return `The password is read from a prompt, a file or standard input. It is never an argument, since others could see that.

Examples:
  roomspa user create --email ann@example.com --role customer
  roomspa user create --phone +4366012345 --role customer --name "Ann B."
  pass show ben | roomspa user create --email ben@example.com --phone +4366012345 --role therapist --password-file -`
}

// Run creates a user.
func (c *userCreateCmd) Run(ctx context.Context, std streams) error {
	u := room.User{ID: c.ID, Email: c.Email, Phone: c.Phone, Role: room.Role(c.Role), Active: true}
	if u.Email == "" && u.Phone == "" {
		return &exitError{2, errors.New("give --email or --phone, or both")}
	}
	if u.Email != "" && !strings.Contains(u.Email, "@") || strings.Contains(u.Phone, "@") {
		return &exitError{2, errors.New("--email must contain an @, and --phone must not: sign-in tells them apart by it")}
	}
	hash := "!" // no password matches it
	if !c.NoPassword {
		password, err := c.password(ctx, std, u.Contact())
		if err != nil {
			return &exitError{2, err}
		}
		if hash, err = auth.Hash(password); err != nil {
			return &exitError{2, err}
		}
	}
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	if u, err = db.CreateNamedUser(ctx, u, c.Name, hash); err != nil {
		return withOwner(err, "create the user there")
	}
	return printUsers(std.Out, []room.User{u}, c.JSON)
}

func (c *userCreateCmd) password(ctx context.Context, std streams, user string) (string, error) {
	in := std.In
	switch c.PasswordFile {
	case "":
		password, err := connect.AskPassword(ctx, std.In, std.Err, "Password of "+user+": ")
		if err != nil {
			return "", fmt.Errorf("%w; or use --password-file or --no-password", err)
		}
		again, err := connect.AskPassword(ctx, std.In, std.Err, "Repeat the password: ")
		if err == nil && again != password {
			err = errors.New("the passwords differ")
		}
		return password, err
	case "-":
	default:
		f, err := os.Open(c.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		defer f.Close()
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, auth.MaxPassword+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password, err := unseen.File([]byte(line))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return password, nil
}
