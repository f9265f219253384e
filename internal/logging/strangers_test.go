package logging

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestWarningsOfStrangersAreBoundedAndCounted(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	reg := prometheus.NewRegistry()
	s := NewStrangers(slog.NewTextHandler(&out, nil), reg)
	count := func(n int, at time.Time, cause, remote string) (written int) {
		for range n {
			if s.state.allow(at, cause, Network(remote)) {
				written++
			}
		}
		return written
	}
	for _, c := range []struct {
		name, cause, remote string
		at                  time.Time
		want                int
	}{
		{"the first ones", "bad_signature", "192.0.2.1:55", noon, 10},
		{"another cause", "malformed", "192.0.2.1", noon, 10},
		{"another address", "bad_signature", "192.0.2.2", noon, 10},
		{"an IPv6 client", "bad_signature", "2001:db8::1", noon, 10},
		{"the same /64", "bad_signature", "2001:db8::2", noon, 0},
		{"the same minute", "bad_signature", "192.0.2.1", noon.Add(59 * time.Second), 0},
		{"the next minute", "bad_signature", "192.0.2.1", noon.Add(time.Minute), 10},
	} {
		if got := count(30, c.at, c.cause, c.remote); got != c.want {
			t.Errorf("%s: %d of 30 are written, want %d", c.name, got, c.want)
		}
	}
	s.report()
	if line := out.String(); !strings.Contains(line, `Suppressed 160 more warnings`) || !strings.Contains(line, `causes="bad_signature:140 malformed:20" networks=3`) {
		t.Errorf("reported: %s", line)
	}
	out.Reset()
	if s.report(); out.Len() > 0 {
		t.Errorf("reported again: %s", out.String())
	}
	if all, err := reg.Gather(); err != nil || len(all) != 1 || all[0].GetMetric()[0].GetCounter().GetValue() != 160 {
		t.Errorf("the metric is %v, %v", all, err)
	}
}

// TestSuppressedWarningsAreReportedEveryMinute uses a logger with fields, as replicas do.
func TestSuppressedWarningsAreReportedEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := NewStrangers(slog.NewTextHandler(&out, nil), prometheus.NewRegistry())
		c := Conn{Log: slog.New(s).With("replica", "a").WithGroup("more"), Remote: "192.0.2.1:55"}
		ctx, cancel := context.WithCancel(t.Context())
		go s.Run(ctx)
		for i := range 2 * strangerLines {
			if c.AllowStranger("malformed") != (i < strangerLines) {
				t.Errorf("line %d is written: %v", i+1, i >= strangerLines)
			}
		}
		<-time.After(strangerPeriod + time.Second)
		synctest.Wait()
		if !strings.Contains(out.String(), "Suppressed 10 more warnings") {
			t.Errorf("after a minute: %s", out.String())
		}
		cancel()
		synctest.Wait()
	})
}

func TestManyStrangersNeedLittleMemory(t *testing.T) {
	t.Parallel()
	s := NewStrangers(slog.DiscardHandler, prometheus.NewRegistry())
	for i := range 3 * maxStrangers {
		s.state.allow(noon, "malformed", strconv.Itoa(i))
	}
	if n, m := len(s.state.written), len(s.state.networks); n > maxStrangers || m > maxStrangers {
		t.Errorf("%d and %d are remembered", n, m)
	}
}

func TestAMutedConnectionWritesNoInfo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := Conn{Log: slog.New(slog.NewTextHandler(&out, nil))}
	c.Hold()
	c.Info("Test", "held")
	c.Mute()
	c.Release()
	c.Info("Test", "later")
	c.Warn("Test", "warned")
	if text := out.String(); strings.Contains(text, "held") || strings.Contains(text, "later") || !strings.Contains(text, "warned") {
		t.Errorf("written: %s", text)
	}
}
