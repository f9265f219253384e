package logging_test

import (
	"bytes"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/logging"
)

func leveled(level string) (*logging.Conn, *logging.Levels, *bytes.Buffer) {
	var out bytes.Buffer
	l := logging.NewLevels(logging.New(&out, logging.Options{Format: "text", Level: level}).Handler())
	return &logging.Conn{Log: slog.New(logging.NewStrangers(l, prometheus.NewRegistry())), Ref: "r"}, l, &out
}

func all(c *logging.Conn) {
	c.Debug("C", "a detail")
	c.Info("C", "an event")
	c.Warn("C", "a warning")
}

func TestAWatchedConnectionLogsMore(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		level string
		watch logging.Watch
		want  string
	}{
		"nobody watches":            {"info", 0, "an event, a warning"},
		"nobody watches, warn":      {"warn", 0, "a warning"},
		"debug":                     {"warn", logging.WatchDebug, "a detail, an event, a warning"},
		"info":                      {"error", logging.WatchInfo, "an event, a warning"},
		"a trace is no log":         {"error", logging.WatchTrace, ""},
		"a trace beside a level":    {"error", logging.WatchTrace | logging.WatchInfo, "an event, a warning"},
		"the level of the settings": {"debug", logging.WatchDebug, "a detail, an event, a warning"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, out := leveled(test.level)
			other := *c
			c.SetWatch(test.watch)
			all(c)
			var got []string
			for line := range strings.Lines(out.String()) {
				_, msg, _ := strings.Cut(line, "[C] ")
				msg, _, _ = strings.Cut(msg, `"`)
				got = append(got, msg)
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("logged %q, want %s", got, test.want)
			}
			if other.Watched() {
				t.Error("another connection is watched")
			}
		})
	}
}

func TestATraceGetsDetailsAndNoOtherLines(t *testing.T) {
	t.Parallel()
	c, levels, out := leveled("error")
	var got []string
	levels.Trace(func(ref, component, msg string, attrs []slog.Attr) {
		got = append(got, ref+" "+component+" "+msg+" "+attrs[0].String())
	})
	c.Note("C", "nobody watches", slog.Int("n", 1))
	c.SetWatch(logging.WatchTrace)
	c.Debug("C", "a detail", slog.Int("n", 2))
	c.Note("C", "an end", slog.Int("n", 3))
	c.Info("C", "User found: ann@example.com")
	c.Warn("C", "User inactive: ann@example.com")
	levels.Trace(nil)
	c.Debug("C", "after the end", slog.Int("n", 4))
	if want := "r C a detail n=2,r C an end n=3"; strings.Join(got, ",") != want || out.Len() > 0 {
		t.Errorf("traced %q, want %s; logged %s", got, want, out)
	}
}

func TestTheLevelOfEverythingIsRaised(t *testing.T) {
	t.Parallel()
	c, levels, out := leveled("warn")
	logging.Component(c.Log, slog.LevelDebug, "D", "before")
	levels.Raise(slog.LevelDebug)
	logging.Component(c.Log, slog.LevelDebug, "D", "while")
	for range 5000 {
		logging.Component(c.Log, slog.LevelDebug, "D", "many")
	}
	dropped := levels.Dropped()
	levels.Raise(math.MaxInt)
	logging.Component(c.Log, slog.LevelDebug, "D", "after")
	logging.Audit(c.Log, "Operator did something")
	text := out.String()
	if strings.Contains(text, "before") || !strings.Contains(text, "while") || strings.Contains(text, "after") || !strings.Contains(text, "[Audit] Operator did something") {
		t.Errorf("%.2000s", text)
	}
	if n := strings.Count(text, "many"); dropped == 0 || int64(n)+dropped != 5000 {
		t.Errorf("%d written and %d dropped of 5000", n, dropped)
	}
}

func BenchmarkWatched(b *testing.B) {
	c, _, _ := leveled("info")
	b.ReportAllocs()
	for b.Loop() {
		if c.Watched() {
			c.Debug("C", "a detail", slog.Int("n", 1))
		}
	}
}
