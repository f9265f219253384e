package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A panel is one of the plots. The axis of sizes is logarithmic.
type panel struct {
	title, x, y string
	points      []point
	lines       []column
}

const (
	width, height = 300.0, 200.0 // of a panel
	left, top     = 48.0, 34.0
	right, bottom = 14.0, 40.0
)

var colors = []string{"#1f6feb", "#d1242f", "#2da44e"}

// plot returns all panels as one SVG picture.
func plot(all results) string {
	cpu := []column{{"server-ms/msg", "replicas"}, {"postgres-ms/msg", "Postgres"}, {"redis-ms/msg", "Redis"}}
	idle := slices.DeleteFunc(slices.Clone(all["GrowIdle"]), func(p point) bool { return p.size == 0 }) // there is no logarithm of 0
	panels := slices.DeleteFunc([]panel{
		{"Memory of idle sockets", "sockets", "MiB", idle, []column{{"server-MiB", "replicas"}, {"redis-MiB", "Redis"}}},
		{"CPU of idle sockets", "sockets", "% of a core", idle, []column{{"server-%", "replicas"}, {"postgres-%", "Postgres"}, {"redis-%", "Redis"}}},
		{"CPU of a message: rooms", "rooms of two", "ms", all["GrowRooms"], cpu},
		{"CPU of a message: room size", "sockets in the room", "ms", all["GrowRoom"], cpu},
		{"CPU of a message: replicas", "replicas on one processor", "ms", all["GrowReplicas"], cpu},
		{"Calls and the table's size", "messages", "µs", all["TableSize"], []column{{"append-us", "append"}, {"history-us", "history"}, {"catch-up-us", "catch-up"}}},
	}, func(p panel) bool { return len(p.points) < 2 })
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="10">`+"\n", 3*width, 2*height)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, p := range panels {
		p.draw(&b, float64(i%3)*width, float64(i/3)*height)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p *panel) draw(b *strings.Builder, atX, atY float64) {
	most := 0.0
	for _, pt := range p.points {
		for _, l := range p.lines {
			most = max(most, pt.values[l.unit])
		}
	}
	most = nice(most)
	first, last := math.Log10(p.points[0].size), math.Log10(p.points[len(p.points)-1].size)
	x := func(size float64) float64 {
		return left + (math.Log10(size)-first)/(last-first)*(width-left-right)
	}
	y := func(v float64) float64 { return height - bottom - v/most*(height-top-bottom) }
	fmt.Fprintf(b, `<g transform="translate(%g %g)">`+"\n", atX, atY)
	fmt.Fprintf(b, `<text x="%g" y="14" font-weight="bold">%s, %s</text>`+"\n", left, p.title, p.y)
	for i := range 5 {
		v := most * float64(i) / 4
		fmt.Fprintf(b, `<path d="M%g %.1fH%g" stroke="#ddd"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`+"\n", left, y(v), width-right, left-4, y(v)+3, tick(v))
	}
	for _, pt := range p.points {
		fmt.Fprintf(b, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`+"\n", x(pt.size), height-bottom+14, tick(pt.size))
	}
	fmt.Fprintf(b, `<text x="%g" y="%g" text-anchor="middle">%s</text>`+"\n", (left+width-right)/2, height-bottom+28, p.x)
	for i, l := range p.lines {
		var path []string
		for _, pt := range p.points {
			px, py := x(pt.size), y(pt.values[l.unit])
			path = append(path, fmt.Sprintf("%.1f %.1f", px, py))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>`+"\n", px, py, colors[i])
		}
		fmt.Fprintf(b, `<path d="M%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.Join(path, "L"), colors[i])
		fmt.Fprintf(b, `<text x="%g" y="27" fill="%s">%s</text>`+"\n", left+70*float64(i), colors[i], l.title)
	}
	b.WriteString("</g>\n")
}

// nice returns a round number that is not below v.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 4, 8} {
		if m*unit >= v {
			return m * unit
		}
	}
	return 10 * unit
}

// tick formats the number of an axis, with k and M for thousands and millions.
func tick(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
