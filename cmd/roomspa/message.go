package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

type messageCmd struct {
	Send messageSendCmd `cmd:"" help:"Send a system message to both sides of a room."`
}

type messageSendCmd struct {
	databaseFlags
	redisFlags
	Customer  string `arg:"" help:"Customer of the room: id, e-mail address or phone number."`
	Therapist string `arg:"" help:"Therapist of the room: id, e-mail address or phone number."`
	Text      string `arg:"" help:"What any client can show, up to 4,000 characters."`
	System    bool   `env:"-" help:"Send a message of the type system. Required: there is no other type."`
	As        string `env:"-" placeholder:"USER" help:"Support user that is shown as the sender. Default: sender id 0, which is no user."`
	Metadata  string `env:"-" placeholder:"JSON" help:"JSON object for the clients, up to 4,096 bytes."`
	ID        string `name:"id" env:"-" placeholder:"TEXT" help:"client_message_id of the message: a second one with the same sender and id is not stored. Default: random."`
	JSON      bool   `name:"json" env:"-" help:"Print one JSON object."`
}

// maxSystemText is the maximum length of a system message in code points.
const maxSystemText = 4000

// Help is shown by --help.
func (*messageSendCmd) Help() string {
	return `Stores a message of the type system in the chat of a customer and a therapist, for example that a booking was cancelled. It
has the role support, and is unread for both sides until they read it. Clients cannot send this type. Open sockets get the
message at once with --redis-url, and within 15 s without; the others get it when they connect.

If the command fails and does not know whether the message is stored, it prints the --id to run it with again.

Examples:
  roomspa message send --system 1 2 "The booking was cancelled."
  roomspa message send --system --as eve@example.com --metadata '{"booking":17}' 1 2 "The booking was moved to 3 pm."`
}

// Run sends the message.
func (c *messageSendCmd) Run(ctx context.Context, std streams) error {
	draft, err := c.draft()
	if err != nil {
		return &exitError{2, err}
	}
	db, err := c.databaseFlags.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	r, err := c.room(ctx, db, &draft)
	if err != nil {
		return err
	}
	m, duplicate, err := appendTo(ctx, db, r, draft)
	switch {
	case errors.Is(err, room.ErrOutcomeUnknown):
		return fmt.Errorf("%w; to make sure that it is stored once, run the command again with --id %s", err, draft.ClientMessageID)
	case err != nil:
		return err
	case duplicate && m.Differs(&draft):
		return fmt.Errorf("--id %s is taken: message %d has it, with other content", draft.ClientMessageID, m.Seq)
	}
	announced := c.announce(ctx, std, db, r, &m)
	if c.JSON {
		err = json.NewEncoder(std.Out).Encode(json.RawMessage(frame.AppendMessage(nil, &m)))
	} else {
		_, err = fmt.Fprintf(std.Out, "sent: message %d of conversation %s (id %s)\n", m.Seq, m.Conversation, m.ID)
	}
	return errors.Join(err, announced)
}

// draft returns the message, without its sender.
func (c *messageSendCmd) draft() (room.Draft, error) {
	if !c.System {
		return room.Draft{}, errors.New("add --system: only system messages can be sent")
	}
	d := room.Draft{
		SenderRole: room.Support, Text: c.Text, Type: room.TypeSystem, ClientMessageID: cmp.Or(c.ID, strings.ToLower(rand.Text())),
	}
	var metadata bytes.Buffer
	if c.Metadata != "" && json.Compact(&metadata, []byte(c.Metadata)) != nil {
		return d, errors.New("--metadata is not valid JSON")
	}
	d.Metadata = metadata.String()
	if invalid := d.Validate(maxSystemText); invalid != nil {
		return d, invalid
	}
	return d, nil
}

// room returns the room, whose sides must exist, and sets the sender of the draft.
func (c *messageSendCmd) room(ctx context.Context, db *postgres.DB, d *room.Draft) (r room.Room, err error) {
	for _, who := range []struct {
		name string
		role room.Role
		id   *room.UserID
	}{{c.Customer, room.Customer, &r.Customer}, {c.Therapist, room.Therapist, &r.Therapist}, {c.As, room.Support, &d.Sender}} {
		if who.role == room.Support && who.name == "" {
			continue // the sender id stays 0
		}
		u, err := db.FindUser(ctx, who.name)
		switch {
		case errors.Is(err, room.ErrNotFound):
			return r, fmt.Errorf("there is no user %s", who.name)
		case err != nil:
			return r, err
		case u.Role != who.role:
			return r, fmt.Errorf("user %d is %s, not %s", u.ID, u.Role, who.role)
		case u.Role == room.Support && !u.Active:
			return r, fmt.Errorf("user %d is deactivated", u.ID)
		}
		*who.id = u.ID
	}
	return r, nil
}

// appendTo stores a message in the conversation of a room, which it creates if there is none.
func appendTo(ctx context.Context, db *postgres.DB, r room.Room, d room.Draft) (m room.Message, duplicate bool, err error) {
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { db.Run(running) })
	defer wg.Wait()
	defer stop()
	conversation, err := db.Conversation(ctx, r, d.Sender)
	if err != nil {
		return m, false, err
	}
	return db.Append(ctx, conversation.ID, d)
}

// announce publishes a stored message to the open sockets of its room. Replicas that do not hear
// of it find it in Postgres.
func (c *messageSendCmd) announce(ctx context.Context, std streams, db *postgres.DB, r room.Room, m *room.Message) error {
	if c.RedisURL == "" {
		_, err := fmt.Fprintln(std.Err, "Open sockets get the message within 15 s. With --redis-url they get it at once.")
		return err
	}
	client, err := c.redisFlags.open(ctx, db)
	if err == nil {
		defer client.Close()
		err = channel.Announce(ctx, client, r.Group("chat"), event.Message{Seq: m.Seq, Sender: m.Sender, Frame: frame.AppendMessage(nil, m)})
	}
	if err != nil {
		return fmt.Errorf("the message is stored, but open sockets may get it only within 15 s: notify replicas: %w", err)
	}
	return nil
}
