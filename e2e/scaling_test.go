package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// TestKEDAScalesOnSockets checks that KEDA scales out with the number of sockets, that
// replicas then share them, that it scales in one by one, and that it does not scale in
// while Prometheus is unavailable.
func TestKEDAScalesOnSockets(t *testing.T) {
	const clients, few, perReplica = 1500, 40, 400
	world.restore(t)
	if err := world.upgrade(t.Context(), "--values", "testdata/autoscaling.yaml", "--set", "autoscaling.by=keda",
		"--set", "autoscaling.connectionsPerReplica="+strconv.Itoa(perReplica),
		"--set", "autoscaling.keda.serverAddress=http://prometheus."+world.namespace+".svc:9090"); err != nil {
		t.Fatal(err)
	}
	// Helm 3 removes the number of replicas, which makes it 1 until the autoscaler knows it.
	eventually(t, "the autoscaler has set the lowest number of replicas", 2*time.Minute, func() bool {
		return world.kubectl(t, "get", "horizontalpodautoscalers", "-o", "jsonpath={.items[*].status.currentReplicas}") == "2" &&
			len(world.pods(t)) == 2 && len(world.endpoints(t)) == 2
	})
	exits := watchExits(t, world)
	g := connectCrowd(t, world, load{clients: clients, rooms: clients / 2, every: 20 * time.Second})
	began := time.Now()
	eventually(t, "there are four replicas", 3*time.Minute, func() bool { return len(world.endpoints(t)) == 4 })
	t.Logf("four replicas are ready %v after the last of %d clients connected; target %d per replica", time.Since(began).Round(time.Second), clients, perReplica)
	took := eventually(t, "no replica has 1.5 times the sockets of another", 4*time.Minute, func() bool {
		least, most := socketRange(t)
		return least > 0 && 2*most < 3*least
	})
	least, most := socketRange(t)
	t.Logf("replicas have %v to %v sockets, %v after they were ready", least, most, took.Round(time.Second))

	world.kubectl(t, "scale", "deployment/prometheus", "--replicas=0")
	world.kubectl(t, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=prometheus", "--timeout=60s")
	g.shrink(t, few)
	// KEDA falls back after three failed queries, 45 s. The autoscaler would scale in 60 s
	// later.
	consistently(t, 150*time.Second, func() {
		if n := world.replicas(t); n != 4 {
			t.Fatalf("%d replicas without Prometheus, want 4", n)
		}
	})
	world.kubectl(t, "scale", "deployment/prometheus", "--replicas=1")
	world.kubectl(t, "rollout", "status", "deployment/prometheus", "--timeout=60s")
	steps, last := watchScaleIn(t, 4, 2, 5*time.Minute)
	t.Logf("after Prometheus was back, scaled in to %d: %s", last, steps)
	eventually(t, "two are left", time.Minute, func() bool { return len(world.pods(t)) == 2 })
	g.finish(t, 30*time.Second)
	closes := g.closes()
	delete(closes, 1000) // clients that the test disconnected
	if len(closes) != 1 || closes[1012] == 0 {
		t.Errorf("closed sockets by code: %v, want only 1012", closes)
	}
	if got := exits(); len(got) != 1 || got[0] != 2 {
		t.Errorf("exit codes of replicas, with their number: %v, want 0 twice", got)
	}
	g.judge(t)
}

// TestAPlainAutoscalerScalesOnSockets checks a HorizontalPodAutoscaler with a custom metric.
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
	g := connectCrowd(t, world, load{clients: clients, rooms: clients / 2, every: 2 * time.Second})
	took := eventually(t, "there are three replicas", 3*time.Minute, func() bool { return len(world.endpoints(t)) == 3 })
	t.Logf("three replicas are ready %v after the last of %d clients connected; target %d per replica", took.Round(time.Second), clients, perReplica)
	g.shrink(t, few)
	steps, last := watchScaleIn(t, 3, 2, 4*time.Minute)
	t.Logf("scaled in to %d: %s", last, steps)
	eventually(t, "two are left", time.Minute, func() bool { return len(world.pods(t)) == 2 })
	g.finish(t, 30*time.Second)
	g.judge(t)
}

// replicas returns the number of replicas that the autoscaler has set.
func (c *cluster) replicas(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(c.kubectl(t, "get", "deployment", "roomspa", "-o", "jsonpath={.spec.replicas}"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// watchScaleIn waits until the autoscaler has set the number of replicas to the given one,
// and returns when it removed each. It fails if two go at once or within the policy's period.
func watchScaleIn(t *testing.T, from, to int, limit time.Duration) (steps string, last int) {
	t.Helper()
	began, before := time.Now(), time.Time{}
	last = from
	eventually(t, fmt.Sprintf("the autoscaler wants %d replicas", to), limit, func() bool {
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

// socketRange returns the lowest and the highest number of sockets of a replica.
func socketRange(t *testing.T) (least, most float64) {
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

// query returns the values of all series of an expression.
func query(t *testing.T, expression string) []float64 {
	t.Helper()
	values, err := world.query(t.Context(), expression)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return values
}
