package chat

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/logging"
)

func TestFewValuesHaveAnExemplar(t *testing.T) { //nolint:paralleltest // AllocsPerRun
	reg := prometheus.NewRegistry()
	o, now := &newMetrics(reg).fanout, time.Now().UnixNano()
	exemplars := func() map[string]bool {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		labels := map[string]bool{}
		for _, f := range families {
			for _, b := range f.GetMetric()[0].GetHistogram().GetBucket() {
				for _, l := range b.GetExemplar().GetLabel() {
					labels[l.GetName()+"="+l.GetValue()] = true
				}
			}
		}
		return labels
	}
	o.observe(.001, now, &logging.Conn{Ref: "first", Trace: "trace"})
	for range 3 {
		o.observe(.3, now+int64(50*time.Millisecond), &logging.Conn{Ref: "too soon"})
		o.observe(.01, now+int64(500*time.Millisecond), &logging.Conn{Ref: "fast"})
	}
	o.observe(3, now+int64(200*time.Millisecond), &logging.Conn{Ref: "slow"})
	got := exemplars()
	for _, want := range []string{"ref=first", "trace_id=trace", "ref=slow"} {
		if !got[want] || len(got) != 3 {
			t.Errorf("the exemplars are %v", got)
		}
	}
	c := &logging.Conn{Ref: "other"}
	if n := testing.AllocsPerRun(100, func() { o.observe(.001, now+int64(300*time.Millisecond), c) }); n != 0 {
		t.Errorf("a value without one allocates %v times", n)
	}
}
