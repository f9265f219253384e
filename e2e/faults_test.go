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

	"github.com/roomspa/roomspa/internal/tool/judge"
)

// soon is within what a probe sees that a store went away or came back.
const soon = 15 * time.Second

// Without Redis no replica takes anybody new, and none restarts or lets anybody go; what
// is sent is stored and acknowledged.
func TestRedisIsAway(t *testing.T) {
	away(t, "redis", func(g *crowd) {
		sent := g.acknowledged()
		eventually(t, "what is sent is still acknowledged", 5*time.Second, func() bool { return g.acknowledged() >= sent+4 })
	})
}

// Without Postgres nothing is acknowledged, and clients keep what they could not send.
func TestPostgresIsAway(t *testing.T) {
	away(t, "postgres", func(g *crowd) {
		eventually(t, "every client waits for an acknowledgement", 10*time.Second, func() bool {
			return !slices.ContainsFunc(g.members, func(m *member) bool { return m.session.Unacknowledged() == 0 })
		})
	})
}

func away(t *testing.T, store string, meanwhile func(*crowd)) {
	t.Helper()
	g := gather(t, world, load{clients: 20, rooms: 5, every: time.Second})
	restarts := world.restarts(t)
	ops := listeners(t)
	g.fault = judge.Fault{Kind: store + "_away", Began: time.Now().UnixMicro()}
	t.Cleanup(func() {
		if _, err := world.run(context.Background(), "", "kubectl", "scale", "deployment/"+store, "--replicas=1"); err != nil {
			t.Error(err)
		}
	})
	world.kubectl(t, "scale", "deployment/"+store, "--replicas=0")
	out := eventually(t, "all replicas are out of the endpoints", soon, func() bool { return len(world.ready(t)) == 0 })
	meanwhile(g)
	eventually(t, "the ingress knows it", 10*time.Second, func() bool { return !reaches(t, world) })
	outside, seen := diagnosis(t)
	t.Logf("diagnose through the ingress says %s:\n%s", outside.Cause, seen)
	inside, seen := diagnosis(t, ops...)
	if outside.Cause != "no_ready_replica" || inside.Cause != "no_ready_replica" || !strings.Contains(seen, " inside: "+store+"_") {
		t.Errorf("diagnose says %s, and with the ops listeners %s, or does not name %s:\n%s", outside.Cause, inside.Cause, store, seen)
	}
	t.Logf("diagnose with the ops listeners says %s: %s", inside.Cause, inside.Cure)
	world.kubectl(t, "scale", "deployment/"+store, "--replicas=1")
	world.kubectl(t, "rollout", "status", "deployment/"+store, "--timeout=60s")
	g.fault.Ended = time.Now().UnixMicro()
	back := eventually(t, "all replicas are back", soon, func() bool { return len(world.ready(t)) == 2 })
	t.Logf("out after %v, back after %v", out.Round(time.Second), back.Round(time.Second))
	g.hush(t, soon)
	if closes := g.closes(); len(closes) != 0 {
		t.Errorf("sockets ended while %s was away, by code: %v", store, closes)
	}
	if now := world.restarts(t); now != restarts {
		t.Errorf("restarts: %s, before %s", now, restarts)
	}
	g.judge(t)
}

// listeners are the ops listeners of all replicas, as this machine reaches them.
func listeners(t *testing.T) (all []string) {
	t.Helper()
	for _, pod := range world.pods(t) {
		all = append(all, "http://"+forward(t, world, "pod/"+pod, "9090"))
	}
	return all
}

// An update to a wrong password stops at its first pod, which says why. Those before go on.
func TestAWrongPasswordStopsTheUpdate(t *testing.T) {
	world.restore(t)
	world.kubectl(t, "exec", "deployment/redis", "--", "redis-cli", "ACL", "SETUSER", "other", "on", ">right", "~*", "&*", "+@all")
	world.kubectl(t, "create", "secret", "generic", "wrong", "--from-literal=redis-url=redis://other:wr0ng@redis:6379/0")
	t.Cleanup(func() {
		if _, err := world.run(context.Background(), "", "kubectl", "delete", "secret", "wrong"); err != nil {
			t.Error(err)
		}
	})
	g := gather(t, world, load{clients: 20, rooms: 5, every: time.Second})
	before := world.ready(t)
	old := world.pods(t)
	if err := world.upgrade(t.Context(), "--set", "secrets.redisURL.name=wrong"); err != nil {
		t.Fatal(err)
	}
	var fresh string
	eventually(t, "there is a new pod, which runs", time.Minute, func() bool {
		for _, pod := range world.pods(t) {
			if !slices.Contains(old, pod) {
				fresh = pod
			}
		}
		return fresh != "" && world.kubectl(t, "get", "pod", fresh, "-o", "jsonpath={.status.containerStatuses[0].state.running.startedAt}") != ""
	})
	ops := "http://" + forward(t, world, "pod/"+fresh, "9090")
	const cause = "redis_wrong_password"
	eventually(t, "its /readyz says why", 15*time.Second, func() bool { return strings.Contains(body(t, ops+"/readyz"), cause) })
	if log := world.kubectl(t, "logs", fresh); !strings.Contains(log, cause) || strings.Contains(log, "wr0ng") {
		t.Errorf("its log does not name %s, or shows the password:\n%s", cause, log)
	}
	// Longer than a new pod would have to be ready, and an old one to leave.
	always(t, 30*time.Second, func() {
		if now := world.ready(t); !slices.Equal(sorted(now), sorted(before)) {
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
	g.hush(t, soon)
	if closes := g.closes(); len(closes) != 0 {
		t.Errorf("sockets ended, by code: %v", closes)
	}
	g.judge(t)
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// body reads a page; an error is its text.
func body(t *testing.T, url string) string {
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

// Nodes are emptied one replica at a time, and never of all.
func TestEvictionsKeepTheBudget(t *testing.T) {
	world.restore(t)
	g := gather(t, world, load{clients: 20, rooms: 5, every: time.Second})
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
	eventually(t, "there are two again", time.Minute, func() bool { return len(world.ready(t)) == 2 && len(world.pods(t)) == 2 })

	// The node of one of them. Where it is the only node nobody can take the place of who
	// left, and so the other one stays.
	node := world.kubectl(t, "get", "pod", world.pods(t)[0], "-o", "jsonpath={.spec.nodeName}")
	t.Cleanup(func() {
		if _, err := world.run(context.Background(), "", "kubectl", "uncordon", node); err != nil {
			t.Error(err)
		}
	})
	drained := make(chan error, 1)
	go func() {
		_, err := world.run(t.Context(), "", "kubectl", "drain", node, "--pod-selector", server, "--ignore-daemonsets", "--timeout=40s")
		drained <- err
	}()
	least := 2
	eventually(t, "kubectl drain ends", time.Minute, func() bool {
		least = min(least, len(world.ready(t)))
		select {
		case err := <-drained:
			t.Logf("kubectl drain: %v", err)
			return true
		default:
			return false
		}
	})
	if least != 1 {
		t.Errorf("at the least %d replicas were ready while the node was drained, want 1", least)
	}
	world.kubectl(t, "uncordon", node)
	eventually(t, "there are two again", time.Minute, func() bool { return len(world.ready(t)) == 2 })
	g.hush(t, soon)
	if closes := g.closes(); len(closes) != 1 || closes[1012] == 0 {
		t.Errorf("sockets ended by code: %v, want 1012 alone", closes)
	}
	g.judge(t)
}

// Who is killed could say nothing to anybody. What it has acknowledged is there.
func TestAReplicaIsKilled(t *testing.T) {
	g := gather(t, world, load{clients: 100, rooms: 25, every: 200 * time.Millisecond})
	before := g.acknowledged()
	eventually(t, "there is a load", 30*time.Second, func() bool { return g.acknowledged() > before+500 })
	pod := world.pods(t)[0]
	restarts := world.restarts(t)
	kill(t, pod)
	eventually(t, "its container is there again", time.Minute, func() bool { return world.restarts(t) != restarts })
	if code := world.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}"); code != "137" {
		t.Errorf("it ended with %s, want 137: nothing else may end it", code)
	}
	eventually(t, "both are ready", time.Minute, func() bool { return len(world.ready(t)) == 2 })
	g.hush(t, soon)
	if closes := g.closes(); closes[1006] == 0 {
		t.Errorf("sockets ended by code: %v, want 1006 among them", closes)
	}
	t.Logf("back after they were cut:\n%s", histogram(g.ended()))
	g.judge(t)
}

// kill ends a replica as the kernel would, from its node: its own pod has no shell.
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
	// A container's variables say whose it is. The first process is the server, the others check passwords.
	said := node.kubectl(t, "exec", "killer", "--", "bash", "-c", fmt.Sprintf(
		`for p in $(grep -lz '^HOSTNAME=%s$' /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | sort -n); do
			tr '\0' ' ' </proc/$p/cmdline | grep -q '^/roomspa serve' && kill -9 $p && echo killed $p && exit; done; echo not found`, pod))
	if !strings.HasPrefix(said, "killed") {
		t.Fatalf("the process of %s: %s", pod, said)
	}
}
