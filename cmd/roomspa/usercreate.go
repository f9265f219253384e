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
)

type userCreateCmd struct {
	database
	Email        string      `required:"" env:"-" placeholder:"EMAIL" help:"E-mail address, by which the user signs in."`
	Phone        string      `env:"-" placeholder:"PHONE" help:"Phone number, by which the user signs in too."`
	Role         string      `required:"" env:"-" enum:"customer,therapist,support" placeholder:"ROLE" help:"customer, therapist or support."`
	ID           room.UserID `name:"id" env:"-" placeholder:"ID" help:"Take this id. Default: the next one."`
	PasswordFile string      `placeholder:"FILE" help:"File whose first line is the password; - for standard input. Without it you are asked."`
	NoPassword   bool        `env:"-" help:"Without a password: the user cannot sign in, only be given tokens."`
	JSON         bool        `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is shown by --help.
func (*userCreateCmd) Help() string {
	return `The password is asked for, or read from a file or standard input; it is never an argument, which others could see.

Examples:
  roomspa user create --email ann@example.com --role customer
  pass show ben | roomspa user create --email ben@example.com --phone +4366012345 --role therapist --password-file -`
}

// Run creates a user.
func (c *userCreateCmd) Run(ctx context.Context, std streams) error {
	u := room.User{ID: c.ID, Email: c.Email, Phone: c.Phone, Role: room.Role(c.Role), Active: true}
	if !strings.Contains(u.Email, "@") || strings.Contains(u.Phone, "@") {
		return &exitError{2, errors.New("an e-mail address has an @, and a phone number has none: that is how they are told apart at the sign-in")}
	}
	hash := "!" // fits no password
	if !c.NoPassword {
		password, err := c.password(ctx, std)
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
	if u, err = db.CreateUser(ctx, u, hash); err != nil {
		return err
	}
	return printUsers(std.Out, []room.User{u}, c.JSON)
}

func (c *userCreateCmd) password(ctx context.Context, std streams) (string, error) {
	in := std.In
	switch c.PasswordFile {
	case "":
		password, err := connect.AskPassword(ctx, std.In, std.Err, "Password of "+c.Email+": ")
		if err != nil {
			return "", fmt.Errorf("%w; or give --password-file, or --no-password", err)
		}
		again, err := connect.AskPassword(ctx, std.In, std.Err, "Once more: ")
		if err == nil && again != password {
			err = errors.New("these are two different passwords")
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
	return strings.TrimRight(line, "\r\n"), nil
}
