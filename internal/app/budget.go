package app

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/budget"
)

const (
	// minBudget is the least budget in bytes, however small the memory limit is.
	minBudget = 16 << 20
	// unlimitedBudget is the budget in bytes if no memory limit is known.
	unlimitedBudget = 128 << 20
)

// newBudget returns the budget of a replica with a memory limit: a quarter of it. A limit of 0
// means that none is known. It registers the metrics.
func newBudget(limit int64, reg prometheus.Registerer) *budget.Budget {
	b := budget.New(budgetSize(limit))
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_budget_bytes",
		Help: "Number of bytes that all peers may hold together in unfinished messages, queues, pages, bodies and answers.",
	}, func() float64 { return float64(b.Total()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_budget_held_bytes",
		Help: "Number of bytes of roomspa_budget_bytes that peers hold.",
	}, func() float64 { return math.Max(0, float64(b.Held())) })
	return b
}

// budgetSize returns the size of the budget in bytes for a memory limit.
func budgetSize(limit int64) int64 {
	if limit == 0 {
		return unlimitedBudget
	}
	return max(minBudget, limit/4)
}
