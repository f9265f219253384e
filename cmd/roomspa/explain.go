package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/story"
)

type explainCmd struct {
	Ref  string `arg:"" help:"The reference: 16 characters, as in a close reason, an error frame, a log line or the header Roomspa-Ref."`
	Ops  string `name:"ops" placeholder:"URL" help:"Ask this replica's ops listener (http://replica:9090), which knows also what Redis could not take. Else Redis is asked."`
	JSON bool   `name:"json" env:"-" help:"Print one JSON object."`

	RedisURL        string `name:"redis-url" placeholder:"URL" group:"Redis" help:"Redis, where the replicas keep the stories of failed connections."`
	RedisMode       string `name:"redis-mode" default:"standalone" enum:"standalone,sentinel,cluster" group:"Redis" help:"What redis-url points at: standalone, sentinel or cluster."`
	RedisMasterName string `name:"redis-master-name" placeholder:"NAME" group:"Redis" help:"Name of the monitored master, in mode sentinel."`
	RedisPrefix     string `name:"redis-prefix" default:"roomspa:" placeholder:"TEXT" group:"Redis" help:"The prefix that the replicas have."`
}

// Help is shown by --help.
func (*explainCmd) Help() string {
	return `Tells the story of a connection that failed: its steps, where it failed, why, what to do, and what else
happened to the same user. Any replica's, from anywhere that reaches Redis or an ops listener.
Exit code: 0 if there is a story, 1 if not, 2 for wrong usage.

Examples:
  roomspa explain 5y9wf9nkmtdb0j4q
  roomspa explain 5y9wf9nkmtdb0j4q --ops http://10.0.3.7:9090 --json
  kubectl exec deploy/roomspa -- roomspa explain 5y9wf9nkmtdb0j4q`
}

// Run explains.
func (c *explainCmd) Run(ctx context.Context, std streams) error {
	switch {
	case !story.IsRef(c.Ref):
		return &exitError{2, fmt.Errorf("that is no reference (%d bytes): one has 16 digits and small letters; try roomspa explain --help", len(c.Ref))}
	case c.Ops == "" && c.RedisURL == "":
		return &exitError{2, errors.New("say where to ask: --redis-url (ROOMSPA_REDIS_URL) or --ops; try roomspa explain --help")}
	}
	told, err := c.ask(ctx)
	if errors.Is(err, story.ErrUnknown) {
		return fmt.Errorf("there is no story of %s. %s", c.Ref, story.Unknown)
	}
	if err != nil {
		return err
	}
	if !c.JSON {
		return told.Print(std.Out)
	}
	e := json.NewEncoder(std.Out)
	e.SetIndent("", "  ")
	return e.Encode(told)
}

func (c *explainCmd) ask(ctx context.Context) (*story.Told, error) {
	if c.Ops != "" {
		return ops.Ask(ctx, c.Ops, c.Ref)
	}
	return app.Explain(ctx, app.Options{
		RedisURL: c.RedisURL, RedisMode: c.RedisMode, RedisMasterName: c.RedisMasterName, RedisPrefix: c.RedisPrefix,
	}, c.Ref)
}
