package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// Clients make the replicas more, which then share them; fewer clients make them fewer,
// one by one; and without Prometheus nobody leaves.
func TestKEDAScalesOnSockets(t *testing.T) {
	const clients, few, perReplica = 1500, 40, 400
	world.restore(t)
	exits := watchExits(t, world)
	if err := world.upgrade(t.Context(), "--values", "testdata/autoscaling.yaml", "--set", "autoscaling.by=keda",
		"--set", "autoscaling.connectionsPerReplica="+strconv.Itoa(perReplica),
		"--set", "autoscaling.keda.serverAddress=http://prometheus."+world.namespace+".svc:9090"); err != nil {
		t.Fatal(err)
	}
	g := gather(t, world, load{clients: clients, rooms: clients / 2, every: 20 * time.Second})
	began := time.Now()
	eventually(t, "there are four replicas", 3*time.Minute, func() bool { return len(world.ready(t)) == 4 })
	t.Logf("four replicas are ready %v after the last of %d clients came, at %d a replica", time.Since(began).Round(time.Second), clients, perReplica)
	took := eventually(t, "no replica has half as many again as another", 4*time.Minute, func() bool {
		least, most := shares(t)
		return least > 0 && 2*most < 3*least
	})
	least, most := shares(t)
	t.Logf("their shares are %v to %v, %v after they were ready", least, most, took.Round(time.Second))

	world.kubectl(t, "scale", "deployment/prometheus", "--replicas=0")
	world.kubectl(t, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=prometheus", "--timeout=60s")
	g.part(t, few)
	// KEDA gives up after three looks, 45 s; the autoscaler would shrink 60 s after that.
	always(t, 150*time.Second, func() {
		if n := world.replicas(t); n != 4 {
			t.Fatalf("%d replicas are wanted without Prometheus, want 4", n)
		}
	})
	world.kubectl(t, "scale", "deployment/prometheus", "--replicas=1")
	world.kubectl(t, "rollout", "status", "deployment/prometheus", "--timeout=60s")
	steps, last := shrink(t, 4, 2, 5*time.Minute)
	t.Logf("with Prometheus back it shrank to %d: %s", last, steps)
	eventually(t, "two are left", time.Minute, func() bool { return len(world.pods(t)) == 2 })
	g.hush(t, 30*time.Second)
	closes := g.closes()
	delete(closes, 1000) // who has left
	if len(closes) != 1 || closes[1012] == 0 {
		t.Errorf("sockets ended by code: %v, want 1012 alone", closes)
	}
	if got := exits(); len(got) != 1 || got[0] != 2 {
		t.Errorf("replicas ended with these exit codes: %v, want 0 twice", got)
	}
	g.judge(t)
}

// The same on the sockets of pods that a metrics adapter offers, where there is one.
func TestAPlainAutoscalerScalesOnSockets(t *testing.T) {
	const clients, few, perReplica = 110, 20, 40
	if world.metrics == "none" {
		t.Skip("NOT TESTED: the plain autoscaler, since METRICS_NAMESPACE is none")
	}
	world.restore(t)
	if err := world.upgrade(t.Context(), "--values", "testdata/autoscaling.yaml", "--set", "autoscaling.by=hpa",
		"--set-string", `networkPolicy.ops[0].namespaceSelector.matchLabels.kubernetes\.io/metadata\.name=`+world.metrics,
		"--set", "autoscaling.connectionsPerReplica="+strconv.Itoa(perReplica)); err != nil {
		t.Fatal(err)
	}
	g := gather(t, world, load{clients: clients, rooms: clients / 2, every: 2 * time.Second})
	took := eventually(t, "there are three replicas", 3*time.Minute, func() bool { return len(world.ready(t)) == 3 })
	t.Logf("three replicas are ready %v after the last of %d clients came, at %d a replica", took.Round(time.Second), clients, perReplica)
	g.part(t, few)
	steps, last := shrink(t, 3, 2, 4*time.Minute)
	t.Logf("without them it shrank to %d: %s", last, steps)
	eventually(t, "two are left", time.Minute, func() bool { return len(world.pods(t)) == 2 })
	g.hush(t, 30*time.Second)
	g.judge(t)
}

// replicas returns how many there should be, as the autoscaler says.
func (c *cluster) replicas(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(c.kubectl(t, "get", "deployment", "roomspa", "-o", "jsonpath={.spec.replicas}"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// shrink waits until there should be so few replicas, and says when each went. More than
// one at once, or two within less than the policy's period, is an error.
func shrink(t *testing.T, from, to int, most time.Duration) (steps string, last int) {
	t.Helper()
	began, before := time.Now(), time.Time{}
	last = from
	eventually(t, fmt.Sprintf("there are to be %d replicas", to), most, func() bool {
		n := world.replicas(t)
		if n == last {
			return n == to
		}
		if n != last-1 || time.Since(before) < 25*time.Second {
			t.Errorf("from %d to %d replicas, %v after the step before", last, n, time.Since(before))
		}
		steps += fmt.Sprintf("%d after %v ", n, time.Since(began).Round(time.Second))
		last, before = n, time.Now()
		return n == to
	})
	return steps, last
}

// shares returns how many sockets the emptiest and the fullest replica have.
func shares(t *testing.T) (least, most float64) {
	t.Helper()
	all := query(t, fmt.Sprintf(`sum by (pod) (roomspa_connections{namespace=%q})`, world.namespace))
	if len(all) != 4 {
		return 0, 0
	}
	least = all[0]
	for _, n := range all {
		least, most = min(least, n), max(most, n)
	}
	return least, most
}

// query asks the tests' Prometheus, and returns the values of all series.
func query(t *testing.T, expression string) []float64 {
	t.Helper()
	values, err := world.ask(t.Context(), expression)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return values
}
