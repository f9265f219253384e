package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
)

// liveFor is the age up to which a stored heartbeat is that of a live replica.
const liveFor = 25 * time.Second

// maxNames is the number of replicas that are named.
const maxNames = 20

// A warning is several findings as one. Its cause is that of the first one.
type warning struct{ error }

// Unwrap returns the findings.
func (w warning) Unwrap() error { return w.error }

// replicasCheck compares the heartbeats that the replicas have stored with these options, and with
// each other. It never fails: other checks say why they cannot be read.
func replicasCheck(o app.Options) ops.Check {
	var found error
	return ops.Check{
		Name: "replicas",
		Run: func(ctx context.Context) (string, error) {
			own, all, err := heartbeats(ctx, o)
			if err != nil {
				return "not compared: " + err.Error(), nil //nolint:nilerr // see above
			}
			if findings := fleet.Compare(own, all); len(findings) > 0 {
				found = warning{errors.Join(findings...)}
			}
			return live(all) + "; they are compared with these options", nil
		},
		Warn: func(context.Context) error { return found },
	}
}

// live says which replicas store their heartbeats in this Postgres.
func live(all []room.Heartbeat) string {
	var names []string
	for i := range all {
		if all[i].Age < liveFor {
			names = append(names, all[i].Replica)
		}
	}
	if len(names) == 0 {
		return "no replica is live in this Postgres"
	}
	slices.Sort(names)
	if more := len(names) - maxNames; more > 0 {
		names = append(names[:maxNames], fmt.Sprintf("and %d more", more))
	}
	return "live in this Postgres: " + strings.Join(names, ", ")
}

// heartbeats returns what a replica with these options would store, and what all replicas have.
func heartbeats(ctx context.Context, o app.Options) (own room.Heartbeat, all []room.Heartbeat, err error) {
	log := slog.New(slog.DiscardHandler)
	if own, err = heartbeat(o, log); err != nil {
		return own, nil, err
	}
	db, err := postgres.Open(ctx, o.Postgres(), log, prometheus.NewRegistry())
	if err != nil {
		return own, nil, fmt.Errorf("--database-url: %w", err)
	}
	defer db.Close()
	all, err = db.Heartbeats(ctx, fleet.MissedFor)
	return own, all, err //nolint:wrapcheck // it names the operation
}

// heartbeat returns what a replica with these options would store.
func heartbeat(o app.Options, log *slog.Logger) (h room.Heartbeat, err error) {
	client, err := redis.Open(o.Redis(), nil)
	if err != nil {
		return h, fmt.Errorf("--redis-url: %w", err)
	}
	defer client.Close()
	_, keys, err := o.Secrets(log, prometheus.NewRegistry())
	if err != nil {
		return h, err //nolint:wrapcheck // it names the option
	}
	accepted := keys.Fingerprints()
	return room.Heartbeat{Replica: "roomspa check", Settings: o.Settings(client), SigningKey: accepted[0], AcceptedKeys: accepted}, nil
}
