package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/rebalance"
)

// newBalance is this replica's part in evening out the sockets.
func (a *App) newBalance(probe *ops.Probe, reg prometheus.Registerer) *rebalance.Balance {
	return rebalance.New(rebalance.Options{
		Replica: a.options.Replica, ID: a.fleet.ID(), Heard: a.fleet.Hear, Rate: a.options.RebalanceRate, Threshold: float64(a.options.RebalanceThreshold) / 100,
		Well: probe.Well,
		Ready: func(ctx context.Context) bool {
			_, ok := probe.Run(ctx)
			return ok
		},
	}, a.layer, a.sockets, a.log, reg)
}
