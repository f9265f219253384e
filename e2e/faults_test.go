package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/tool/diagnose"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// probeTime is the limit for the readiness probe to notice that a store fails or recovers.
const probeTime = 15 * time.Second

// TestRedisIsAway checks that replicas turn unready, keep their sockets and do not
// restart, and that messages are stored and acknowledged.
func TestRedisIsAway(t *testing.T) {
	testOutage(t, "redis", func(g *crowd) {
		sent := g.acknowledged()
		eventually(t, "what is sent is still acknowledged", 5*time.Second, func() bool { return g.acknowledged() >= sent+4 })
	})
}

// TestPostgresIsAway checks that no message is acknowledged, and that clients keep theirs
// and send them again.
func TestPostgresIsAway(t *testing.T) {
	testOutage(t, "postgres", func(g *crowd) {
		eventually(t, "every client waits for an acknowledgement", 10*time.Second, func() bool {
			return !slices.ContainsFunc(g.members, func(m *member) bool { return m.session.Unacknowledged() == 0 })
		})
	})
}

func testOutage(t *testing.T, store string, meanwhile func(*crowd)) {
	t.Helper()
	g := connectCrowd(t, world, load{clients: 20, rooms: 5, every: time.Second})
	restarts := world.restarts(t)
	ops := opsURLs(t)
	g.fault = judge.Fault{Kind: store + "_away", Began: time.Now().UnixMicro()}
	t.Cleanup(func() {
		if _, err := world.run(context.Background(), "", "kubectl", "scale", "deployment/"+store, "--replicas=1"); err != nil {
			t.Error(err)
		}
	})
	world.kubectl(t, "scale", "deployment/"+store, "--replicas=0")
	out := eventually(t, "no replica is in the endpoints", probeTime, func() bool { return len(world.endpoints(t)) == 0 })
	meanwhile(g)
	eventually(t, "the ingress has no replica", 10*time.Second, func() bool { return !reachable(t, world) })
	outside, seen := runDiagnose(t, diagnose.Options{})
	t.Logf("diagnose through the ingress says %s:\n%s", outside.Cause, seen)
	inside, seen := runDiagnose(t, diagnose.Options{Ops: ops})
	if outside.Cause != "no_ready_replica" || inside.Cause != "no_ready_replica" || !strings.Contains(seen, " "+store+"_") {
		t.Errorf("diagnose says %s, and with the ops listeners %s, or does not name %s:\n%s", outside.Cause, inside.Cause, store, seen)
	}
	t.Logf("diagnose with the ops listeners says %s: %s", inside.Cause, inside.Cure)
	world.kubectl(t, "scale", "deployment/"+store, "--replicas=1")
	world.kubectl(t, "rollout", "status", "deployment/"+store, "--timeout=60s")
	g.fault.Ended = time.Now().UnixMicro()
	back := eventually(t, "all replicas are ready", probeTime, func() bool { return len(world.endpoints(t)) == 2 })
	t.Logf("unready after %v, ready again after %v", out.Round(time.Second), back.Round(time.Second))
	g.finish(t, probeTime)
	if closes := g.closes(); len(closes) != 0 {
		t.Errorf("sockets closed while %s was away, by code: %v", store, closes)
	}
	if now := world.restarts(t); now != restarts {
		t.Errorf("restarts: %s, before %s", now, restarts)
	}
	g.judge(t)
}

// opsURLs forwards the ops listeners of all replicas and returns their URLs.
func opsURLs(t *testing.T) (all []string) {
	t.Helper()
	for _, pod := range world.pods(t) {
		all = append(all, "http://"+forward(t, world, "pod/"+pod, "9090"))
	}
	return all
}

// TestAWrongPasswordStopsTheUpdate checks that an update stops at its first pod, which
// reports the cause, and that the old pods keep their sockets.
func TestAWrongPasswordStopsTheUpdate(t *testing.T) {
	world.restore(t)
	world.kubectl(t, "exec", "deployment/redis", "--", "redis-cli", "ACL", "SETUSER", "other", "on", ">right", "~*", "&*", "+@all")
	world.kubectl(t, "create", "secret", "generic", "wrong", "--from-literal=redis-url=redis://other:wr0ng@redis:6379/0")
	t.Cleanup(func() {
		if _, err := world.run(context.Background(), "", "kubectl", "delete", "secret", "wrong"); err != nil {
			t.Error(err)
		}
	})
	g := connectCrowd(t, world, load{clients: 20, rooms: 5, every: time.Second})
	before := world.endpoints(t)
	old := world.pods(t)
	if err := world.upgrade(t.Context(), "--set", "secrets.redisURL.name=wrong"); err != nil {
		t.Fatal(err)
	}
	var fresh string
	eventually(t, "a new pod runs", time.Minute, func() bool {
		for _, pod := range world.pods(t) {
			if !slices.Contains(old, pod) {
				fresh = pod
			}
		}
		return fresh != "" && world.kubectl(t, "get", "pod", fresh, "-o", "jsonpath={.status.containerStatuses[0].state.running.startedAt}") != ""
	})
	ops := "http://" + forward(t, world, "pod/"+fresh, "9090")
	const cause = "redis_wrong_password"
	eventually(t, "its /readyz has the cause", 15*time.Second, func() bool { return strings.Contains(fetch(t, ops+"/readyz"), cause) })
	if log := world.kubectl(t, "logs", fresh); !strings.Contains(log, cause) || strings.Contains(log, "wr0ng") {
		t.Errorf("its log does not name %s, or shows the password:\n%s", cause, log)
	}
	// Longer than minReadySeconds and the shutdown of an old pod.
	consistently(t, 30*time.Second, func() {
		if now := world.endpoints(t); !slices.Equal(sorted(now), sorted(before)) {
			t.Fatalf("the endpoints are %v, before %v", now, before)
		}
	})
	if left := world.pods(t); len(left) != len(old)+1 {
		t.Errorf("pods %v, want the %d before and a new one", left, len(old))
	}
	if _, err := world.run(t.Context(), "", "helm", "rollback", "roomspa"); err != nil {
		t.Error(err)
	}
	world.kubectl(t, "wait", "--for=delete", "pod/"+fresh, "--timeout=60s")
	g.finish(t, probeTime)
	if closes := g.closes(); len(closes) != 0 {
		t.Errorf("closed sockets by code: %v, want none", closes)
	}
	g.judge(t)
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// fetch returns the body of a page, or the text of the error.
func fetch(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestEvictionsKeepTheBudget checks that a node drain evicts one replica at a time.
func TestEvictionsKeepTheBudget(t *testing.T) {
	world.restore(t)
	g := connectCrowd(t, world, load{clients: 20, rooms: 5, every: time.Second})
	evict := func(pod string) error {
		_, err := world.run(t.Context(), fmt.Sprintf(`{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": %q}}`, pod),
			"kubectl", "create", "--raw", "/api/v1/namespaces/"+world.namespace+"/pods/"+pod+"/eviction", "-f", "-")
		return err
	}
	pods := world.pods(t)
	if err := evict(pods[0]); err != nil {
		t.Fatal(err)
	}
	if err := evict(pods[1]); err == nil || !strings.Contains(err.Error(), "disruption budget") {
		t.Errorf("a second eviction beside the first: %v, want a refusal by the budget", err)
	}
	eventually(t, "there are two again", time.Minute, func() bool { return len(world.endpoints(t)) == 2 && len(world.pods(t)) == 2 })

	// Drain the node of one replica. If it is the only node, the evicted replica cannot be
	// replaced, and the budget keeps the other one.
	node := world.kubectl(t, "get", "pod", world.pods(t)[0], "-o", "jsonpath={.spec.nodeName}")
	t.Cleanup(func() {
		if _, err := world.run(context.Background(), "", "kubectl", "uncordon", node); err != nil {
			t.Error(err)
		}
	})
	world.kubectl(t, "label", "pods", "-l", server, "e2e="+world.namespace) // a drain knows no namespaces
	drained := make(chan error, 1)
	go func() {
		_, err := world.run(t.Context(), "", "kubectl", "drain", node, "--pod-selector", "e2e="+world.namespace, "--ignore-daemonsets", "--timeout=40s")
		drained <- err
	}()
	least := 2
	eventually(t, "kubectl drain ends", time.Minute, func() bool {
		least = min(least, len(world.endpoints(t)))
		select {
		case err := <-drained:
			t.Logf("kubectl drain: %v", err)
			return true
		default:
			return false
		}
	})
	if least != 1 {
		t.Errorf("at least %d replicas were ready during the node drain, want 1", least)
	}
	world.kubectl(t, "uncordon", node)
	eventually(t, "there are two again", time.Minute, func() bool { return len(world.endpoints(t)) == 2 })
	g.finish(t, probeTime)
	if closes := g.closes(); len(closes) != 1 || closes[1012] == 0 {
		t.Errorf("closed sockets by code: %v, want only 1012", closes)
	}
	g.judge(t)
}

// TestAReplicaIsKilled checks that nothing acknowledged is lost by kill -9.
func TestAReplicaIsKilled(t *testing.T) {
	g := connectCrowd(t, world, load{clients: 100, rooms: 25, every: 200 * time.Millisecond})
	before := g.acknowledged()
	eventually(t, "messages flow", 30*time.Second, func() bool { return g.acknowledged() > before+500 })
	pod := world.pods(t)[0]
	restarts := world.restarts(t)
	kill(t, pod)
	eventually(t, "its container has restarted", time.Minute, func() bool { return world.restarts(t) != restarts })
	if code := world.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}"); code != "137" {
		t.Errorf("exit code %s, want 137", code)
	}
	eventually(t, "both are ready", time.Minute, func() bool { return len(world.endpoints(t)) == 2 })
	g.finish(t, probeTime)
	if closes := g.closes(); closes[1006] == 0 {
		t.Errorf("closed sockets by code: %v, want some 1006", closes)
	}
	t.Logf("reconnects:\n%s", histogram(g.ends()))
	g.judge(t)
}

// kill sends SIGKILL to a replica from a privileged pod on its node, since its own pod has
// no shell.
func kill(t *testing.T, pod string) {
	t.Helper()
	node := *world
	node.namespace += "-node"
	t.Cleanup(func() {
		if _, err := node.run(context.Background(), "", "kubectl", "delete", "namespace", node.namespace); err != nil {
			t.Error(err)
		}
	})
	node.kubectl(t, "create", "namespace", node.namespace)
	node.kubectl(t, "label", "namespace", node.namespace, "pod-security.kubernetes.io/enforce=privileged")
	node.apply(t, "killer.yaml", "NODE", world.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.spec.nodeName}"))
	node.kubectl(t, "wait", "--for=condition=Ready", "pod/killer", "--timeout=60s")
	// HOSTNAME identifies the pod of a process. The first one is the server, the others check
	// passwords.
	output := node.kubectl(t, "exec", "killer", "--", "bash", "-c", fmt.Sprintf(
		`for p in $(grep -lz '^HOSTNAME=%s$' /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | sort -n); do
			tr '\0' ' ' </proc/$p/cmdline | grep -q '^/roomspa serve' && kill -9 $p && echo killed $p && exit; done; echo not found`, pod))
	if !strings.HasPrefix(output, "killed") {
		t.Fatalf("kill the process of %s: %s", pod, output)
	}
}
