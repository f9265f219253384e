package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// A column is a unit of a benchmark, and its title.
type column struct{ unit, title string }

var perMessage = []column{
	{"server-ms/msg", "replicas, ms a message"}, {"postgres-ms/msg", "Postgres"}, {"redis-ms/msg", "Redis"}, {"p99-ms", "p99, ms"},
}

var perSocket = []column{
	{"server-%", "CPU of the replicas, % of a core"},
	{"postgres-%", "of Postgres"},
	{"redis-%", "of Redis"},
	{"server-MiB", "RSS of the replicas, MiB"},
	{"redis-MiB", "Redis, MiB"},
}

// tables returns what was measured.
func tables(all results) string {
	var b strings.Builder
	b.WriteString("![How cost grows](growth.svg)\n\n")
	table(&b, "idle sockets, one message each, on four replicas", all["GrowIdle"], perSocket)
	table(&b, "rooms of two; 500 messages/s in all", all["GrowRooms"], perMessage)
	table(&b, "positions a second, in 100 rooms of two", all["GrowPositions"], perMessage)
	table(&b, "sockets in one room; about 2,000 frames/s", all["GrowRoom"], perMessage)
	table(&b, "replicas, together on one processor; 500 messages/s in 50 rooms", all["GrowReplicas"],
		append(slices.Clone(perMessage), column{"max-msg/s", "messages/s at most"}))
	sizes := all["TableSize"]
	if len(sizes) < 2 {
		return b.String()
	}
	first, last := sizes[0], sizes[len(sizes)-1]
	fmt.Fprintf(&b, "| median of a call, µs | %s messages | %s messages | |\n| --- | ---: | ---: | ---: |\n", number(first.size), number(last.size))
	for _, unit := range slices.Sorted(maps.Keys(first.values)) {
		if name, ok := strings.CutSuffix(unit, "-us"); ok {
			x, y := first.values[unit], last.values[unit]
			fmt.Fprintf(&b, "| %s | %s | %s | × %s |\n", strings.ReplaceAll(name, "-", " "), number(x), number(y), number(y/x))
		}
	}
	b.WriteString("\n")
	return b.String()
}

func table(b *strings.Builder, title string, points []point, columns []column) {
	if len(points) < 2 {
		return
	}
	fmt.Fprintf(b, "| %s |", title)
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", c.title)
	}
	b.WriteString("\n|" + strings.Repeat(" ---: |", len(columns)+1) + "\n")
	for _, p := range points {
		fmt.Fprintf(b, "| %s |", number(p.size))
		for _, c := range columns {
			fmt.Fprintf(b, " %s |", number(p.values[c.unit]))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// What a million sockets do, in the extrapolation: half of them chat and say something once a minute, the others are of
// locations, and half of these send a position every ten seconds.
const (
	million          = 1e6
	messagesASecond  = million / 2 / 60
	positionsASecond = million / 4 / 10
	socketsAReplica  = 12_000
	busy             = 0.5 // share of a processor that is planned for
)

// model returns the fitted costs, and the extrapolation, if everything was measured.
func model(all results) string {
	if !all.has("GrowIdle", "GrowRooms", "GrowPositions", "GrowRoom", "TableSize") {
		return ""
	}
	var b strings.Builder
	idle, rooms, positions, room, table := all["GrowIdle"], all["GrowRooms"], all["GrowPositions"], all["GrowRoom"], all["TableSize"]
	var message, position, socket, cores [3]float64 // ms; ms; % of a core
	for i, part := range []string{"server", "postgres", "redis"} {
		message[i], position[i] = mean(rooms, part+"-ms/msg"), mean(positions, part+"-ms/msg")
		_, slope := fit(idle, part+"-%")
		socket[i] = math.Max(0, slope)
		cores[i] = (messagesASecond*message[i]+positionsASecond*position[i])/1000 + million*socket[i]/100
	}
	_, mib := fit(idle, "server-MiB")
	_, redisMiB := fit(idle, "redis-MiB")
	fixed, perFrame := fit(room, "server-ms/msg")
	b.WriteString("**The cost model**: means of these tables, and for sockets the slope of a line through the points (least squares).\n\n| | replicas | Postgres | Redis |\n| --- | ---: | ---: | ---: |\n")
	row := func(title string, v [3]float64, factor float64) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", title, number(factor*v[0]), number(factor*v[1]), number(factor*v[2]))
	}
	row("1,000 messages in rooms of two, CPU seconds", message, 1)
	row("1,000 positions, CPU seconds", position, 1)
	row("10,000 idle sockets, CPU, % of a core", socket, 1e4)
	fmt.Fprintf(&b, "| 10,000 idle sockets, memory, MiB | %s | | %s |\n\n", number(1e4*mib), number(1e4*redisMiB))
	fmt.Fprintf(&b, "In a larger room a message costs the replicas %s ms, and %s ms more for each socket that gets it.\n", number(fixed), number(perFrame))
	worst, name := 0.0, ""
	for unit, v := range table[len(table)-1].values {
		if ratio := v / table[0].values[unit]; strings.HasSuffix(unit, "-us") && ratio > worst {
			worst, name = ratio, strings.ReplaceAll(strings.TrimSuffix(unit, "-us"), "-", " ")
		}
	}
	fmt.Fprintf(&b, "With %s times as many messages in the table, the call that suffers most (%s) takes %s times as long.\n\n", number(table[len(table)-1].size/table[0].size), name, number(worst))
	fmt.Fprintf(&b, "**A million sockets** is an extrapolation of these lines by a factor of %s, not a measurement. Half of the sockets chat and say something once a minute (%s messages a second); "+
		"the others are of locations, and half of these send a position every 10 s (%s a second).\n\n",
		number(million/idle[len(idle)-1].size), number(messagesASecond), number(positionsASecond))
	b.WriteString("| | CPU, cores of this machine | memory | to plan: cores half idle |\n| --- | ---: | ---: | --- |\n")
	n := math.Ceil(million / socketsAReplica)
	fmt.Fprintf(&b, "| replicas | %s | %s GiB | %s of them with %s sockets (`connectionsPerReplica`) and %s cores each |\n",
		number(cores[0]), number(million*mib/1024), number(n), number(socketsAReplica), number(cores[0]/busy/n))
	fmt.Fprintf(&b, "| Postgres | %s | | %s |\n| Redis | %s | %s MiB | %s |\n\n", number(cores[1]), number(math.Ceil(cores[1]/busy)), number(cores[2]), number(million*redisMiB), redisPlan(cores[2]))
	return b.String()
}

// redisPlan says how many servers carry the load: one uses one core.
func redisPlan(cores float64) string {
	if n := math.Ceil(cores / busy); n > 1 {
		return fmt.Sprintf("more than one core: %s shards of a Cluster", number(n))
	}
	return "one server"
}
