package main

import (
	"context"
	"fmt"

	"github.com/roomspa/roomspa/internal/app"
)

// replicas says how the running replicas are reached, for commands that change what
// their sockets may do. It may be left out.
type replicas struct {
	RedisURL        string `name:"redis-url" placeholder:"URL" group:"Redis" help:"Redis, to tell the running replicas at once. Without it they notice within a minute."`
	RedisMode       string `name:"redis-mode" default:"standalone" enum:"standalone,sentinel,cluster" group:"Redis" help:"What redis-url points at: standalone, sentinel or cluster."`
	RedisMasterName string `name:"redis-master-name" placeholder:"NAME" group:"Redis" help:"Name of the monitored master, in mode sentinel."`
	RedisPrefix     string `name:"redis-prefix" default:"roomspa:" placeholder:"TEXT" group:"Redis" help:"The prefix that the replicas have."`
}

// tell makes the replicas look at what was changed. That it was changed stands,
// whether or not they can be told.
func (r *replicas) tell(ctx context.Context, std streams) error {
	if r.RedisURL == "" {
		_, err := fmt.Fprintln(std.Err, "Sockets that are open now close within a minute; with --redis-url they close at once.")
		return err
	}
	err := app.TellReplicas(ctx, app.Options{
		RedisURL: r.RedisURL, RedisMode: r.RedisMode, RedisMasterName: r.RedisMasterName, RedisPrefix: r.RedisPrefix,
	})
	if err != nil {
		return fmt.Errorf("it is done, but sockets that are open now close within a minute only: %w", err)
	}
	return nil
}
