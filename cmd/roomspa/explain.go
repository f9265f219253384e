package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/story"
)

type explainCmd struct {
	Ref string `arg:"" help:"Reference of the connection: 16 characters, from a close reason, an error frame, a log line or the header Roomspa-Ref."`
	Ops string `name:"ops" placeholder:"URL" help:"Ask the ops listener of a replica (http://replica:9090) instead of reading Redis and Postgres. A replica also keeps stories that could not be stored in Redis. Default without any URL: ${ops}."`
	opsFlags
	JSON bool `name:"json" env:"-" help:"Print one JSON object."`
	databaseFlags
	redisFlags
}

// Help is shown by --help.
func (*explainCmd) Help() string {
	return `Prints the story of a connection that failed: its steps, the step that failed, the cause, what to do, and other failures
of the same user. It works for connections to any replica. Either ask the ops listener of one replica (by default the one
at 127.0.0.1:9090, as behind kubectl port-forward), or give the URLs of
Redis, which holds the stories, and of Postgres, which holds the key that they are sealed with. The URLs are read from
the replica's environment, so load that or run it within a replica.
Exit code: 0 if there is a story, 1 if not, 2 for wrong usage.

Examples:
  roomspa explain 5y9wf9nkmtdb0j4q
  roomspa explain 5y9wf9nkmtdb0j4q --ops http://10.0.3.7:9090 --json
  (set -a; . /etc/roomspa/replica.env; roomspa explain 5y9wf9nkmtdb0j4q)
  kubectl exec deploy/roomspa -- roomspa explain 5y9wf9nkmtdb0j4q`
}

// Run prints the story.
func (c *explainCmd) Run(ctx context.Context, std streams) error {
	const whereToAsk = "set --ops, or both --redis-url (ROOMSPA_REDIS_URL) and --database-url (ROOMSPA_DATABASE_URL)"
	byDefault := c.Ops == "" && c.RedisURL == "" && c.DatabaseURL == ""
	switch {
	case !story.IsRef(c.Ref):
		return &exitError{2, fmt.Errorf("not a reference (%d bytes): a reference has 16 digits and lower-case letters; try roomspa explain --help", len(c.Ref))}
	case byDefault:
		c.Ops = defaultOps
	case c.Ops == "" && (c.RedisURL == "" || c.DatabaseURL == ""):
		return &exitError{2, errors.New(whereToAsk + "; try roomspa explain --help")}
	}
	told, err := c.ask(ctx)
	if byDefault && err != nil && !errors.Is(err, story.ErrUnknown) {
		return &exitError{2, fmt.Errorf("%w; %s, or run kubectl port-forward deploy/roomspa 9090", err, whereToAsk)}
	}
	if errors.Is(err, story.ErrUnknown) {
		return fmt.Errorf("there is no story of %s. %s", c.Ref, story.UnknownHint)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.Out, told)
	}
	return told.Print(std.Out)
}

func (c *explainCmd) ask(ctx context.Context) (*story.Explanation, error) {
	if c.Ops != "" {
		return ops.Ask(ctx, c.Ops, c.OpsToken, c.Ref)
	}
	db, err := c.databaseFlags.open(ctx)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	client, err := c.redisFlags.open(ctx, db)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return story.Explain(ctx, client.Stories, c.Ref)
}
