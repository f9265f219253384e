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

// tables returns what was measured.
func tables(all results) string {
	var b strings.Builder
	b.WriteString("![How cost grows](growth.svg)\n\n")
	table(&b, "idle sockets, one message each, on four replicas", all["GrowIdle"], []column{
		{"server-%", "CPU of the replicas, % of a core"}, {"postgres-%", "of Postgres"}, {"redis-%", "of Redis"},
		{"server-MiB", "RSS of the replicas, MiB"}, {"redis-MiB", "Redis, MiB"},
	})
	table(&b, "rooms of two; 1,500 messages/s in all", all["GrowRooms"], perMessage)
	table(&b, "sockets in one room; about 6,000 frames/s", all["GrowRoom"], perMessage)
	table(&b, "replicas, together on one processor; 1,000 messages/s in 50 rooms", all["GrowReplicas"],
		append(slices.Clone(perMessage), column{"max-msg/s", "messages/s at most"}))
	sizes := all["TableSize"]
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

// What a million sockets do, in the extrapolation.
const (
	million         = 1e6
	messagesASecond = million / 60 // each socket sends one a minute
	socketsAReplica = 50_000
	busy            = 0.5 // share of a processor that is planned for
)

// model returns the fitted costs, and the extrapolation.
func model(all results) string {
	var b strings.Builder
	idle, rooms, room, table := all["GrowIdle"], all["GrowRooms"], all["GrowRoom"], all["TableSize"]
	parts := []string{"server", "postgres", "redis"}
	var perMessage, perSocket [3]float64 // ms; % of a core
	for i, part := range parts {
		perMessage[i] = mean(rooms, part+"-ms/msg")
		_, slope := fit(idle, part+"-%")
		perSocket[i] = math.Max(0, slope)
	}
	_, mib := fit(idle, "server-MiB")
	_, redisMiB := fit(idle, "redis-MiB")
	fixed, perFrame := fit(room, "server-ms/msg")
	b.WriteString("**The cost model**: lines through these points, by least squares.\n\n| | replicas | Postgres | Redis |\n| --- | ---: | ---: | ---: |\n")
	fmt.Fprintf(&b, "| 1,000 messages in rooms of two, CPU seconds (mean of the table) | %s | %s | %s |\n", number(perMessage[0]), number(perMessage[1]), number(perMessage[2]))
	fmt.Fprintf(&b, "| 10,000 idle sockets, CPU, %% of a core | %s | %s | %s |\n", number(1e4*perSocket[0]), number(1e4*perSocket[1]), number(1e4*perSocket[2]))
	fmt.Fprintf(&b, "| 10,000 idle sockets, memory, MiB | %s | | %s |\n\n", number(1e4*mib), number(1e4*redisMiB))
	fmt.Fprintf(&b, "In larger rooms a message costs the replicas %s ms, and %s ms more for each socket that gets it.\n", number(fixed), number(perFrame))
	worst, name := 0.0, ""
	for unit, v := range table[len(table)-1].values {
		if ratio := v / table[0].values[unit]; strings.HasSuffix(unit, "-us") && ratio > worst {
			worst, name = ratio, strings.ReplaceAll(strings.TrimSuffix(unit, "-us"), "-", " ")
		}
	}
	fmt.Fprintf(&b, "With %s times as many messages in the table, the call that suffers most (%s) takes %s times as long.\n\n", number(table[len(table)-1].size/table[0].size), name, number(worst))
	var cores [3]float64
	for i := range cores {
		cores[i] = messagesASecond*perMessage[i]/1000 + million*perSocket[i]/100
	}
	fmt.Fprintf(&b, "**A million sockets** (an extrapolation of these lines by a factor of %s, not a measurement): each in a room of two and with one message a minute, so %s messages/s.\n\n",
		number(million/idle[len(idle)-1].size), number(messagesASecond))
	fmt.Fprintf(&b, "| | CPU, cores of this machine | memory | to plan, half idle |\n| --- | ---: | ---: | --- |\n")
	fmt.Fprintf(&b, "| replicas | %s | %s GiB | %d replicas of %s sockets, with %s cores and %s GiB each |\n", number(cores[0]), number(million*mib/1024),
		int(million/socketsAReplica), number(socketsAReplica), number(math.Ceil(20*cores[0]/busy/(million/socketsAReplica))/20), number(math.Ceil(4*socketsAReplica*mib/1024/busy)/4))
	fmt.Fprintf(&b, "| Postgres | %s | of its cache | %s cores |\n", number(cores[1]), number(math.Ceil(cores[1]/busy)))
	fmt.Fprintf(&b, "| Redis | %s | %s MiB | %s |\n\n", number(cores[2]), number(million*redisMiB), redisPlan(cores[2]))
	return b.String()
}

// redisPlan says how many servers carry the load: one uses one core.
func redisPlan(cores float64) string {
	if n := math.Ceil(cores / busy); n > 1 {
		return fmt.Sprintf("more than one core: %s shards of a Cluster", number(n))
	}
	return "one server"
}
