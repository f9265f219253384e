// Command grow writes docs/growth.svg, and the part of docs/performance.md that says how cost grows, from the
// output of the benchmarks that measure it: `make grow`. It leaves out what was not measured.
//
//	go run ./grow bench.txt ../docs
package main

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: grow BENCH.TXT DOCS")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "grow:", err)
		os.Exit(1)
	}
}

func run(input, docs string) error {
	text, err := os.ReadFile(input)
	if err != nil {
		return fmt.Errorf("read the benchmarks: %w", err)
	}
	all := parse(string(text))
	if len(all) == 0 {
		return errors.New(input + " has no results")
	}
	if err := os.WriteFile(filepath.Join(docs, "growth.svg"), []byte(plot(all)), 0o600); err != nil {
		return fmt.Errorf("write the plot: %w", err)
	}
	page := filepath.Join(docs, "performance.md")
	before, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	const begin, end = "<!-- make grow: begin -->\n", "<!-- make grow: end -->\n"
	head, rest, ok := strings.Cut(string(before), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return errors.New(page + " lacks the marks of the part that this writes")
	}
	if err := os.WriteFile(page, []byte(head+begin+tables(all)+model(all)+end+tail), 0o600); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// A point is one result: the size, and the values by unit.
type point struct {
	size   float64
	values map[string]float64
}

// results are the points of each benchmark, by size. A later result of a size replaces an earlier one.
type results map[string][]point

// has reports whether each of these benchmarks has two results or more.
func (all results) has(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return len(all[name]) < 2 })
}

// parse reads lines such as "BenchmarkGrowRoom/members=2-2  1  9 ns/op  0.1 server-ms/msg".
func parse(text string) results {
	all := results{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name, sub, ok := strings.Cut(strings.TrimPrefix(f[0], "Benchmark"), "/")
		_, number, ok2 := strings.Cut(sub, "=")
		number, _, _ = strings.Cut(number, "-") // the processors
		size, err := strconv.ParseFloat(number, 64)
		if !ok || !ok2 || err != nil {
			continue
		}
		p := point{size, map[string]float64{}}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				p.values[f[i+1]] = v
			}
		}
		all[name] = slices.DeleteFunc(all[name], func(old point) bool { return old.size == size })
		all[name] = append(all[name], p)
		slices.SortFunc(all[name], func(a, b point) int { return int(a.size - b.size) })
	}
	return all
}

// fit returns the line through the points of a unit, by least squares.
func fit(points []point, unit string) (at0, slope float64) {
	var n, x, y, xx, xy float64
	for _, p := range points {
		v := p.values[unit]
		n, x, y, xx, xy = n+1, x+p.size, y+v, xx+p.size*p.size, xy+p.size*v
	}
	slope = (n*xy - x*y) / (n*xx - x*x)
	return (y - slope*x) / n, slope
}

// mean returns the mean of a unit.
func mean(points []point, unit string) float64 {
	sum := 0.0
	for _, p := range points {
		sum += p.values[unit]
	}
	return sum / float64(len(points))
}

// number formats a value with two or three digits that count, and large ones with commas.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		s := strconv.Itoa(int(math.Round(v)))
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case math.Abs(v-math.Round(v)) < 1e-6, a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}
