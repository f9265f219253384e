package receipt

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	written, coalesced, unchanged, refused, failed prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, waiting func() float64) *metrics {
	f := promauto.With(reg)
	receipts := f.NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_receipts_total",
		Help: "Total receipts (delivered and read), by outcome (written, coalesced, unchanged, refused, failed). Coalesced receipts are part of one that is written. Unchanged: the stored cursor was as high. Failed receipts are lost.",
	}, []string{"outcome"})
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_receipts_waiting",
		Help: "Number of cursors that wait to be written to Postgres. It grows while Postgres is unavailable.",
	}, waiting)
	return &metrics{
		written: receipts.WithLabelValues("written"), coalesced: receipts.WithLabelValues("coalesced"),
		unchanged: receipts.WithLabelValues("unchanged"), refused: receipts.WithLabelValues("refused"),
		failed: receipts.WithLabelValues("failed"),
	}
}
