package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/rebalance"
)

// newRebalancer returns the rebalancer, which asks the probe whether this replica is ready.
func (a *App) newRebalancer(probe *ops.Probe, reg prometheus.Registerer) *rebalance.Rebalancer {
	return rebalance.New(rebalance.Options{
		Rate: a.options.RebalanceRate, Threshold: float64(a.options.RebalanceThreshold) / 100,
		Ready: probe.Well,
		CheckReady: func(ctx context.Context) bool {
			_, ok := probe.Run(ctx)
			return ok
		},
	}, a.fleet, a.sockets, a.log, reg)
}
