// Package e2e installs roomspa into a Kubernetes cluster, breaks things there, and
// removes it all. It owns what only a cluster can show: that the chart's objects, the
// probes, an ingress and the network policy do together what is promised.
package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/diagnose"
	"github.com/roomspa/roomspa/internal/judge"
)

// world is the cluster of all tests, which run one after the other.
var world *cluster

func TestMain(m *testing.M) {
	code, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func setUp(m *testing.M) (code int, err error) {
	c, err := find()
	if err != nil {
		return 1, err
	}
	if c.dir, err = os.MkdirTemp("", "roomspa-e2e-"); err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(c.dir) }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	defer func() {
		if failed := c.remove(context.WithoutCancel(ctx)); failed != nil && err == nil {
			code, err = 1, failed
		}
	}()
	if err := c.install(ctx); err != nil {
		return 1, err
	}
	for id := 1; id <= 2*rooms; id++ {
		role := [...]string{"therapist", "customer"}[id%2]
		_, err := c.run(ctx, password, "kubectl", "exec", "--stdin", "deployment/roomspa", "--", "/roomspa", "user", "create",
			"--id", fmt.Sprint(id), "--role", role, "--email", email(id), "--password-file", "-")
		if err != nil {
			return 1, err
		}
	}
	world = c
	return m.Run(), nil
}

// What an operator does after an installation, and what a client does.
func TestItWorksThroughTheIngress(t *testing.T) {
	out, err := world.run(t.Context(), "", "helm", "test", "roomspa", "--logs", "--timeout", "2m")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out, "All is well."); got != 1 {
		t.Errorf("helm test showed %d diagnoses that went well, want one:\n%s", got, out)
	}
	report, err := diagnose.Run(t.Context(), diagnose.Options{
		URL: world.ingress.String(), TLS: world.tls(), Identifier: email(1), Password: password,
		PeerIdentifier: email(2), PeerPassword: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := ""
	for _, s := range report.Steps {
		seen += fmt.Sprintf("%v %s: %s\n", s.OK, s.Name, s.Detail)
	}
	if !report.OK || !strings.Contains(seen, "two replicas answer") {
		t.Errorf("diagnose found %s, and of its steps:\n%s", report.Cause, seen)
	}
	g := gather(t, world, 2)
	eventually(t, "both have said something", 10*time.Second, func() bool { return g.last[0].Load() >= 2 })
	g.hush(t, 10*time.Second)
	g.judge(t)
}

// Nobody but who is meant to reaches a replica or a store. That some do shows that
// knocking works.
func TestStrangersReachNothing(t *testing.T) {
	own := "{app.kubernetes.io/name: roomspa, app.kubernetes.io/instance: roomspa, app.kubernetes.io/component: %s}"
	text, err := os.ReadFile("testdata/pod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doors := []string{"roomspa/8000", "roomspa-ops/9090", "postgres/5432", "redis/6379"}
	for _, who := range []struct{ name, labels, opens string }{
		{"stranger", "{app: stranger}", ""},
		{"tester", fmt.Sprintf(own, "test"), "roomspa/8000 postgres/5432 redis/6379"},
		{"checker", fmt.Sprintf(own, "check"), "postgres/5432 redis/6379"},
	} {
		name := who.name
		manifest := strings.NewReplacer("NAME", name, "LABELS", who.labels).Replace(string(text))
		if _, err := world.run(t.Context(), manifest, "kubectl", "apply", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		world.kubectl(t, "wait", "--for=condition=Ready", "pod/"+name, "--timeout=60s")
		knock := func() string {
			var open []string
			for _, door := range doors {
				_, err := world.run(t.Context(), "", "kubectl", "exec", name, "--", "timeout", "2", "bash", "-c", "</dev/tcp/"+door)
				if err == nil {
					open = append(open, door)
				}
			}
			return strings.Join(open, " ")
		}
		// A policy may take a moment to reach a new pod.
		var got string
		eventually(t, name+" finds open what it should: "+who.opens, 30*time.Second, func() bool {
			got = knock()
			return got == who.opens
		})
		t.Logf("%s finds open: %q", name, got)
		world.kubectl(t, "delete", "pod", name, "--wait=false")
	}
}

// Without Redis no replica takes anybody new, and none restarts or lets anybody go.
func TestRedisIsAway(t *testing.T) {
	const soon = 15 * time.Second
	g := gather(t, world, 2*rooms)
	g.fault = judge.Fault{Kind: "redis_away", Began: time.Now().UnixMicro()}
	world.kubectl(t, "scale", "deployment/redis", "--replicas=0")
	world.kubectl(t, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=redis", "--timeout=60s")
	out := eventually(t, "all replicas are out of the endpoints", soon, func() bool { return len(world.ready(t)) == 0 })
	sent := g.last[0].Load()
	eventually(t, "what is sent is still acknowledged", 5*time.Second, func() bool { return g.last[0].Load() >= sent+4 })
	world.kubectl(t, "scale", "deployment/redis", "--replicas=1")
	world.kubectl(t, "rollout", "status", "deployment/redis", "--timeout=60s")
	g.fault.Ended = time.Now().UnixMicro()
	back := eventually(t, "all replicas are back", soon, func() bool { return len(world.ready(t)) == 2 })
	t.Logf("out after %v, back after %v", out.Round(time.Second), back.Round(time.Second))
	g.hush(t, soon)
	if closes := g.closes(); len(closes) != 0 {
		t.Errorf("sockets ended while Redis was away, by code: %v", closes)
	}
	restarts := world.kubectl(t, "get", "pods", "-l", "app.kubernetes.io/component=server",
		"-o", `jsonpath={.items[*].status.containerStatuses[0].restartCount}`)
	if restarts != "0 0" {
		t.Errorf("restarts: %s, want 0 0", restarts)
	}
	g.judge(t)
}

// An update moves everybody, by a close that says so, and costs nobody a message.
func TestRollingUpdate(t *testing.T) {
	const clients = 50
	g := gather(t, world, clients)
	before := world.migrations(t)
	began := time.Now()
	if err := world.upgrade(t.Context(), "podAnnotations.e2e=updated"); err != nil {
		t.Fatal(err)
	}
	world.kubectl(t, "rollout", "status", "deployment/roomspa", "--timeout=90s")
	eventually(t, "the old replicas are gone", time.Minute, func() bool {
		pods := world.kubectl(t, "get", "pods", "-l", "app.kubernetes.io/component=server", "-o", "name")
		return len(strings.Fields(pods)) == 2
	})
	t.Logf("the update took %v", time.Since(began).Round(time.Second))
	g.hush(t, 30*time.Second)
	closes := g.closes()
	if closes[1012] < clients || len(closes) != 1 {
		t.Errorf("sockets ended by code: %v, want 1012 alone, once for each client or more", closes)
	}
	if got := world.migrations(t) - before; got != 1 {
		t.Errorf("the migration ran %d times, want once", got)
	}
	g.judge(t)
}

// migrations counts the pods that were ever made to migrate.
func (c *cluster) migrations(t *testing.T) int {
	t.Helper()
	return len(strings.Fields(c.kubectl(t, "get", "events", "--field-selector",
		"involvedObject.kind=Job,involvedObject.name=roomspa-migrate,reason=SuccessfulCreate", "-o", "name")))
}
