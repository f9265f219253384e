package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// output returns results that lie on lines, with an older one that does not count.
func output() string {
	var b strings.Builder
	line := func(name string, size int, values string) {
		fmt.Fprintf(&b, "Benchmark%s=%d-2   \t1\t9 ns/op\t%s\n", name, size, values)
	}
	line("GrowIdle/sockets", 1000, "99 server-MiB")
	for _, n := range []int{0, 1000, 10_000} {
		line("GrowIdle/sockets", n, fmt.Sprintf("%g server-MiB %g redis-MiB %g server-%% 0 postgres-%% 0 redis-%%", 20+float64(n)/100, 1+float64(n)/1000, float64(n)/2500))
	}
	for _, n := range []int{2, 10, 100} {
		perMessage := fmt.Sprintf("%g server-ms/msg 0.2 postgres-ms/msg 0.03 redis-ms/msg 5 p99-ms 9000 max-msg/s", 0.25+0.01*float64(n))
		line("GrowRoom/members", n, perMessage)
		for _, name := range []string{"GrowRooms/rooms", "GrowReplicas/replicas", "GrowPositions/rate"} {
			line(name, n, "0.25 server-ms/msg 0.2 postgres-ms/msg 0.03 redis-ms/msg 5 p99-ms 9000 max-msg/s")
		}
	}
	line("TableSize/messages", 100_000, "100 append-us 200 history-us")
	line("TableSize/messages", 10_000_000, "150 append-us 220 history-us")
	return b.String()
}

func TestFit(t *testing.T) {
	all := parse(output())
	at0, slope := fit(all["GrowIdle"], "server-MiB")
	if n := len(all["GrowIdle"]); n != 3 || math.Abs(at0-20) > 1e-6 || math.Abs(slope-0.01) > 1e-9 {
		t.Errorf("%d points on the line %g + %g n, want 3 on 20 + 0.01 n", n, at0, slope)
	}
}

func TestThePageIsWritten(t *testing.T) {
	dir := t.TempDir()
	input, page := filepath.Join(dir, "bench.txt"), filepath.Join(dir, "performance.md")
	for path, text := range map[string]string{input: output(), page: "before\n<!-- make grow: begin -->\nold\n<!-- make grow: end -->\nafter\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(input, dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n<!--", "-->\nafter\n", "| 10,000 | 4 | 0 | 0 | 120 | 11 |",
		"| 1,000 messages in rooms of two, CPU seconds | 0.250 | 0.200 | 0.030 |", "| 10,000 idle sockets, memory, MiB | 100 | | 10 |",
		"costs the replicas 0.250 ms, and 0.010 ms more", "With 100 times as many messages in the table, the call that suffers most (append) takes 1.50 times as long.",
		"| Redis | 1 | 1,000 MiB | more than one core: 2 shards of a Cluster |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(string(text), "old") || t.Failed() {
		t.Logf("%s", text)
	}
	if svg, err := os.ReadFile(filepath.Join(dir, "growth.svg")); err != nil || strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "Inf") {
		t.Errorf("the plot: %v\n%s", err, svg)
	}
}
