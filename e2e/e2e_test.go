// Package e2e installs roomspa into a Kubernetes cluster, injects faults and removes
// everything again. It tests what only a cluster can show: that the chart's objects,
// the probes, an ingress and the network policy work together.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/tool/client"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

// world is the cluster that all tests share. They do not run in parallel.
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
	c, err := fromEnvironment()
	if err != nil {
		return 1, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := c.checkCluster(ctx); err != nil {
		return 1, err
	}
	if c.dir, err = os.MkdirTemp("", "roomspa-e2e-"); err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(c.dir) }()
	defer func() {
		if failed := c.remove(context.WithoutCancel(ctx)); failed != nil && err == nil {
			code, err = 1, failed
		}
	}()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() { // there is no way to stop running tests
		<-interrupted
		fmt.Fprintln(os.Stderr, "e2e: interrupted, removing", c.namespace, c.remove(context.WithoutCancel(ctx)))
		os.Exit(1)
	}()
	if err := c.install(ctx); err != nil {
		return 1, err
	}
	if err := c.createUsers(ctx); err != nil {
		return 1, err
	}
	world = c
	return m.Run(), nil
}

// TestItWorksThroughTheIngress runs what an operator runs after an installation, and a
// chat.
func TestItWorksThroughTheIngress(t *testing.T) {
	var out string
	eventually(t, "helm test finds no fault", 3*time.Minute, func() (passed bool) {
		var err error
		out, err = world.run(t.Context(), "", "helm", "test", "roomspa", "--logs", "--timeout", "2m")
		if err != nil && len(slowSteps(out)) == 0 {
			t.Fatal(err)
		}
		if err != nil {
			t.Logf("the cluster was too slow for helm test: %s", strings.Join(slowSteps(out), "; "))
		}
		return err == nil
	})
	// Whether the connection was slow does not count: the network policy may learn of the test's pod late.
	if got := strings.Count(out, "through Redis between the replicas"); got != 1 {
		t.Errorf("helm test showed %d diagnoses that passed a message between two replicas, want one:\n%s", got, out)
	}
	checkChat(t, world)
}

var failedStep = regexp.MustCompile(`(?m)^(FAILED|✗) .*$`)

// slowSteps returns the failed steps of helm test if all of them had no answer in time,
// otherwise nothing. The hash of a password takes CPU time, so a sign-in exceeds its 4 s if
// the node is overloaded.
func slowSteps(out string) []string {
	failed := failedStep.FindAllString(out, -1)
	if slices.ContainsFunc(failed, func(step string) bool { return !strings.Contains(step, "no answer within") }) {
		return nil
	}
	return failed
}

// TestItWorksThroughAGateway replaces the ingress by the Gateway API.
func TestItWorksThroughAGateway(t *testing.T) {
	if world.gateway == "none" {
		t.Skip("NOT TESTED: the Gateway API, since GATEWAY_CLASS is none")
	}
	world.restore(t)
	world.apply(t, "gateway.yaml", "CLASS", world.gateway, "PORT", world.listener, "HOST", world.ingress.Hostname())
	t.Cleanup(func() {
		if _, err := world.run(context.Background(), "", "kubectl", "delete", "gateway", "e2e"); err != nil {
			t.Error(err)
		}
	})
	if err := world.upgrade(t.Context(), "--values", "testdata/route.yaml"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway has taken the route", time.Minute, func() bool {
		return world.kubectl(t, "get", "httproute", "roomspa", "-o",
			`jsonpath={.status.parents[0].conditions[?(@.type=="Accepted")].status}`) == "True" && reachable(t, world)
	})
	checkChat(t, world)
}

// TestTheDevelopmentOverlayWorks deploys without Helm, with stores of the overlay.
func TestTheDevelopmentOverlayWorks(t *testing.T) {
	world.restore(t)
	if err := world.upgrade(t.Context(), "--set", "ingress.enabled=false"); err != nil {
		t.Fatal(err) // frees the host name for the overlay's ingress
	}
	dev := *world
	dev.namespace += "-dev"
	t.Cleanup(func() {
		if _, err := dev.run(context.Background(), "", "kubectl", "delete", "namespace", dev.namespace, "--ignore-not-found"); err != nil {
			t.Error(err)
		}
	})
	dev.kubectl(t, "create", "namespace", dev.namespace)
	dev.kubectl(t, "label", "namespace", dev.namespace, "pod-security.kubernetes.io/enforce=restricted")
	dev.kubectl(t, "create", "secret", "tls", "e2e-tls", "--cert", filepath.Join(dev.dir, "tls.crt"), "--key", filepath.Join(dev.dir, "tls.key"))
	all := dev.kubectl(t, "kustomize", "../k8s/overlays/dev")
	all = regexp.MustCompile(`(image: )roomspa(:\S+)?\n`).ReplaceAllString(all, "${1}"+dev.image+"\n")
	if _, err := dev.run(t.Context(), all, "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	class := ""
	if dev.class != "" {
		class = "ingressClassName: " + dev.class
	}
	dev.apply(t, "ingress.yaml", "CLASS", class, "HOST", dev.ingress.Hostname())
	took := eventually(t, "all replicas are ready", time.Minute, func() bool { return len(dev.endpoints(t)) == 2 })
	t.Logf("two replicas ready after %v", took.Round(time.Second))
	if err := dev.createUsers(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the ingress leads to them", time.Minute, func() bool { return reachable(t, &dev) })
	checkChat(t, &dev)
}

// reachable reports whether a replica answers through the ingress or the gateway, with the
// tests' certificate.
func reachable(t *testing.T, c *cluster) bool {
	t.Helper()
	conn, err := client.Dial(t.Context(), client.Options{URL: c.ingress.String() + "/ws/test/", TLS: c.tls()})
	if err == nil {
		conn.CloseNow()
	}
	return err == nil
}

// checkChat runs `roomspa diagnose` through the ingress, which may learn of a new replica
// late, and then lets two clients chat.
func checkChat(t *testing.T, c *cluster) {
	t.Helper()
	var seen string
	eventually(t, "diagnose finds two replicas", 20*time.Second, func() bool {
		report, steps := runDiagnose(t, diagnose.Options{Timeout: 20 * time.Second, Limit: 2 * time.Minute}) // the node may be busy
		if !report.OK {
			t.Fatalf("diagnose found %s, and of its steps:\n%s", report.Cause, steps)
		}
		seen = steps
		return strings.Contains(steps, "two replicas answered")
	})
	t.Logf("diagnose:\n%s", seen)
	g := connectCrowd(t, c, load{clients: 2, rooms: 1, every: time.Second})
	eventually(t, "both have said something", 10*time.Second, func() bool { return g.last[0].Load() >= 2 })
	g.finish(t, 10*time.Second)
	g.judge(t)
}

// runDiagnose runs diagnose through the ingress with the given options.
func runDiagnose(t *testing.T, o diagnose.Options) (report diagnose.Report, steps string) {
	t.Helper()
	o.URL, o.TLS = world.ingress.String(), world.tls()
	o.Identifier, o.Password, o.PeerIdentifier, o.PeerPassword = email(1), password, email(2), password
	report, err := diagnose.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range report.Steps {
		steps += fmt.Sprintf("%v %s: %s\n", s.OK, s.Name, s.Detail)
	}
	return report, steps
}

// TestStrangersReachNothing checks which pods can connect to which ports. The allowed
// connections show that the check itself works.
func TestStrangersReachNothing(t *testing.T) {
	own := "{app.kubernetes.io/name: roomspa, app.kubernetes.io/instance: roomspa, app.kubernetes.io/component: %s}"
	doors := []string{"roomspa/8000", "roomspa-ops/9090", "postgres/5432", "redis/6379"}
	for _, who := range []struct{ name, labels, opens string }{
		{"stranger", "{app: stranger}", ""},
		{"tester", fmt.Sprintf(own, "test"), "roomspa/8000 postgres/5432 redis/6379"},
		{"checker", fmt.Sprintf(own, "check"), "postgres/5432 redis/6379"},
		{"prometheus-e2e", "{app.kubernetes.io/name: prometheus, e2e: knocks}", "roomspa-ops/9090"},
	} {
		name := who.name
		world.apply(t, "pod.yaml", "NAME", name, "LABELS", who.labels)
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
		// A network policy may apply to a new pod with a delay.
		var got string
		eventually(t, name+" finds open what it should: "+who.opens, 30*time.Second, func() bool {
			got = knock()
			return got == who.opens
		})
		t.Logf("%s finds open: %q", name, got)
		world.kubectl(t, "delete", "pod", name, "--wait=false")
	}
}
