package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/tool/client"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// hurry shortens the alerts' windows, so that a run does not take half an hour more. The tests of the chart have the
// real ones.
var hurry = strings.NewReplacer("[5m]", "[2m]", "[10m]", "[3m]", "for: 15m", "for: 3m", "for: 10m", "for: 3m", "for: 5m", "for: 2m")

// writeRules writes the chart's alerts as a rule file for Prometheus.
func (c *cluster) writeRules(ctx context.Context) error {
	text, err := c.run(ctx, "", "helm", append([]string{
		"template", "roomspa", "../charts/roomspa", "--show-only", "templates/prometheusrule.yaml", "--kube-version", "1.30", // helm template does not ask the cluster
	}, c.helmFlags("--values", "testdata/alerts.yaml", "--set", "autoscaling.by=keda", "--set", "autoscaling.keda.serverAddress=http://prometheus:9090")...)...)
	if err != nil {
		return err
	}
	var rule struct{ Spec yaml.Node }
	if err := yaml.Unmarshal([]byte(text), &rule); err != nil {
		return fmt.Errorf("read the chart's alerts: %w", err)
	}
	out, err := yaml.Marshal(&rule.Spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, "rules.yml"), []byte(hurry.Replace(string(out))), 0o600)
}

// prometheusAPI calls the API of Prometheus through the API server. It retries, since a busy
// API server may cut an answer.
func (c *cluster) prometheusAPI(ctx context.Context, path string, query url.Values, data any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	retry := time.NewTicker(time.Second)
	defer retry.Stop()
	for {
		text, failed := c.run(ctx, "", "kubectl", "get", "--raw",
			"/api/v1/namespaces/"+c.namespace+"/services/prometheus:9090/proxy/api/v1/"+path+"?"+query.Encode())
		if failed == nil {
			failed = json.Unmarshal([]byte(text), &struct{ Data any }{data})
		}
		if failed == nil {
			return nil
		}
		select {
		case <-retry.C:
			err = failed
		case <-ctx.Done():
			return cmp.Or(err, failed) // the last one may be the end of ctx
		}
	}
}

// query returns the values of all series of an expression.
func (c *cluster) query(ctx context.Context, expression string) (values []float64, err error) {
	var data struct{ Result []struct{ Value [2]any } }
	if err := c.prometheusAPI(ctx, "query", url.Values{"query": {expression}}, &data); err != nil {
		return nil, err
	}
	for _, r := range data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("query Prometheus for %s: %w", expression, err)
		}
		values = append(values, v)
	}
	return values, nil
}

// firingAlerts returns the names of the alerts that fire.
func (c *cluster) firingAlerts(t *testing.T) []string {
	t.Helper()
	var data struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	if err := c.prometheusAPI(t.Context(), "alerts", nil, &data); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, a := range data.Alerts {
		if a.State == "firing" {
			names[a.Labels["alertname"]] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// waitForAlerts waits until all these alerts have fired, and logs when. None may fire
// before.
func waitForAlerts(t *testing.T, limit time.Duration, names ...string) {
	t.Helper()
	began, seen := time.Now(), map[string]bool{}
	for _, name := range world.firingAlerts(t) {
		seen[name] = true
		if slices.Contains(names, name) {
			t.Errorf("%s fires before its fault", name)
		}
	}
	eventually(t, "they fire: "+strings.Join(names, " "), limit, func() bool {
		for _, name := range world.firingAlerts(t) {
			if !seen[name] {
				seen[name] = true
				t.Logf("%s fires after %v", name, time.Since(began).Round(time.Second))
			}
		}
		return !slices.ContainsFunc(names, func(name string) bool { return !seen[name] })
	})
}

// waitUntilCleared waits until none of these alerts fires.
func waitUntilCleared(t *testing.T, limit time.Duration, names ...string) {
	t.Helper()
	took := eventually(t, "they clear: "+strings.Join(names, " "), limit, func() bool {
		now := world.firingAlerts(t)
		return !slices.ContainsFunc(names, func(name string) bool { return slices.Contains(now, name) })
	})
	t.Logf("cleared after %v: %s", took.Round(time.Second), strings.Join(names, " "))
}

// dropSlowTrigger removes the trigger that slows down each commit.
const dropSlowTrigger = `DROP TRIGGER IF EXISTS slow ON roomspa.messages; DROP FUNCTION IF EXISTS slow();`

// watchAlerts installs what makes the alerts fire soon, and waits until those of earlier tests
// have cleared. When the test ends, it undoes what the tests of alerts break.
func watchAlerts(t *testing.T) {
	t.Helper()
	world.restore(t)
	if err := world.upgrade(t.Context(), "--values", "testdata/alerts.yaml", "--set", "alerts.enabled=false", "--set", "dashboard.enabled=true",
		"--set", "autoscaling.by=keda", "--set", "autoscaling.keda.serverAddress=http://prometheus."+world.namespace+".svc:9090"); err != nil {
		t.Fatal(err)
	}
	if err := world.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitUntilQuiet(t, 12*time.Minute)
	t.Cleanup(func() { // in case the test fails during a fault
		ctx := context.Background()
		for _, store := range []string{"redis", "postgres"} {
			if _, err := world.run(ctx, "", "kubectl", "scale", "deployment/"+store, "--replicas=1"); err != nil {
				t.Error(err)
			}
		}
		if _, err := world.run(ctx, "", "kubectl", "rollout", "status", "deployment/postgres", "--timeout=60s"); err != nil {
			t.Error(err)
		}
		if err := world.sql(ctx, dropSlowTrigger); err != nil {
			t.Error(err)
		}
	})
}

// waitUntilQuiet waits until no alert fires.
func waitUntilQuiet(t *testing.T, limit time.Duration) {
	t.Helper()
	var left []string
	took := eventually(t, "every alert has cleared", limit, func() bool {
		if now := world.firingAlerts(t); !slices.Equal(now, left) {
			t.Logf("firing: %v", now)
			left = now
		}
		return len(left) == 0
	})
	t.Logf("no alert fires after %v", took.Round(time.Second))
}

// TestAlertsOfLoadFireAndClear checks the alerts of load, attacks and slow commits, and that
// every query of the dashboard returns data.
func TestAlertsOfLoadFireAndClear(t *testing.T) {
	watchAlerts(t)
	g := connectCrowd(t, world, load{clients: 210, rooms: 105, every: 10 * time.Second})
	g.fault = judge.Fault{Kind: "slow_commits", Began: time.Now().UnixMicro()}
	stopAttack := attack(t)
	if err := world.sql(t.Context(), `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.6); RETURN NULL; END';
		CREATE TRIGGER slow AFTER INSERT ON roomspa.messages FOR EACH STATEMENT EXECUTE FUNCTION slow();`); err != nil {
		t.Fatal(err)
	}
	waitForAlerts(t, 25*time.Minute, "RoomspaNearCapacity", "RoomspaReconnectStorm", "RoomspaLoginAttack", "RoomspaSlowCommits",
		"RoomspaRefusals", "RoomspaAbnormalCloses", "RoomspaAutoscalerAtMaximum")
	for _, m := range g.members[:20] {
		m.session.Drop() // reconnecting fills the panel of resumes
	}
	checkDashboard(t)
	stopAttack()
	if err := world.sql(t.Context(), dropSlowTrigger); err != nil {
		t.Fatal(err)
	}
	g.fault.Ended = time.Now().UnixMicro()
	g.finish(t, time.Minute)
	g.judge(t)
	waitUntilQuiet(t, 20*time.Minute)
}

// TestAlertsOfOutagesFireAndClear checks the alerts of an outage of Redis and of Postgres.
func TestAlertsOfOutagesFireAndClear(t *testing.T) {
	watchAlerts(t)
	g := connectCrowd(t, world, load{clients: 210, rooms: 105, every: 10 * time.Second})
	g.fault = judge.Fault{Kind: "one_after_the_other", Began: time.Now().UnixMicro()}
	for _, fault := range []struct {
		store string
		fires []string
	}{
		{"redis", []string{"RoomspaChannelLayerUnavailable", "RoomspaNoReplicaReady", "RoomspaReplicaNotReady"}},
		{"postgres", []string{"RoomspaDatabaseUnavailable", "RoomspaNoReplicaReady", "RoomspaReplicaNotReady"}},
	} {
		waitUntilCleared(t, 7*time.Minute, fault.fires...)
		world.kubectl(t, "scale", "deployment/"+fault.store, "--replicas=0")
		waitForAlerts(t, 5*time.Minute, fault.fires...)
		world.kubectl(t, "scale", "deployment/"+fault.store, "--replicas=1")
		world.kubectl(t, "rollout", "status", "deployment/"+fault.store, "--timeout=60s")
		eventually(t, "all replicas are back", time.Minute, func() bool { return len(world.endpoints(t)) == 2 })
		waitUntilCleared(t, 7*time.Minute, fault.fires...)
	}
	g.fault.Ended = time.Now().UnixMicro()
	g.finish(t, time.Minute)
	g.judge(t)
	waitUntilQuiet(t, 20*time.Minute)
}

// TestTheAlertOfNoReplicaFiresAndClears runs without an autoscaler, which would start replicas.
func TestTheAlertOfNoReplicaFiresAndClears(t *testing.T) {
	world.restore(t)
	waitUntilQuiet(t, 12*time.Minute)
	world.kubectl(t, "scale", "deployment/roomspa", "--replicas=0")
	waitForAlerts(t, 5*time.Minute, "RoomspaNoReplica")
	world.kubectl(t, "scale", "deployment/roomspa", "--replicas=2")
	waitUntilQuiet(t, 20*time.Minute)
}

// TestAlertsOfAnIncompleteUpdateFireAndClear checks the alerts of one new replica that has
// another prefix in Redis and another JWT secret.
func TestAlertsOfAnIncompleteUpdateFireAndClear(t *testing.T) {
	watchAlerts(t)
	g := connectCrowd(t, world, load{clients: 210, rooms: 105, every: 10 * time.Second})
	g.fault = judge.Fault{Kind: "incomplete_update", Began: time.Now().UnixMicro()}
	world.kubectl(t, "create", "secret", "generic", "other", "--from-literal=jwt-secret=another-secret-for-development-that-nobody-knows")
	t.Cleanup(func() {
		if _, err := world.run(context.Background(), "", "kubectl", "delete", "secret", "other"); err != nil {
			t.Error(err)
		}
	})
	if err := world.upgrade(t.Context(), "--set", "secrets.jwtSecret.name=other", "--set", "options.redis-prefix=other:", "--set", "minReadySeconds=1200"); err != nil {
		t.Fatal(err)
	}
	waitForAlerts(t, 12*time.Minute, "RoomspaSplitChannelLayer", "RoomspaDifferentSecrets")
	if err := world.upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := world.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.fault.Ended = time.Now().UnixMicro()
	g.finish(t, time.Minute)
	g.judge(t)
	waitUntilQuiet(t, 20*time.Minute)
}

// attack sends 5 handshakes with bad tokens, 25 sockets that are cut and 10 wrong passwords per
// second, until stop is called. A full replica refuses some of them.
func attack(t *testing.T) (stop func()) {
	t.Helper()
	keys, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := keys.Mint(auth.Access, users-1, time.Now(), 3*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	room := fmt.Sprintf("%s/ws/chat/%d/%d/", world.ingress, users-1, users)
	visitors := &http.Client{Transport: &http.Transport{TLSClientConfig: world.tls()}, Timeout: 10 * time.Second}
	var all sync.WaitGroup
	often := func(perSecond int, act func()) {
		all.Go(func() {
			tick := time.NewTicker(time.Second / time.Duration(perSecond))
			defer tick.Stop()
			for ctx.Err() == nil {
				select {
				case <-ctx.Done():
				case <-tick.C:
					all.Go(act)
				}
			}
		})
	}
	often(5, func() {
		if conn, err := client.Dial(ctx, client.Options{URL: room, Token: "no.such.token", TLS: world.tls()}); err == nil {
			_, _ = conn.Read(ctx) // the refusal
			conn.CloseNow()
		}
	})
	often(25, func() {
		// Reports the close code of the previous connection, as clients do.
		if conn, err := client.Dial(ctx, client.Options{URL: room, Token: token, TLS: world.tls(), LastRef: "0000000000000000", LastCode: 1006}); err == nil {
			_, _ = conn.Read(ctx) // the connected frame
			conn.CloseNow()
		}
	})
	often(10, func() {
		wrong := strings.NewReader(fmt.Sprintf(`{"identifier": %q, "password": "guessed"}`, email(1)))
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, world.ingress.String()+"/login/", wrong)
		if err != nil {
			return
		}
		request.Header.Set("Content-Type", "application/json")
		if answer, err := visitors.Do(request); err == nil {
			_ = answer.Body.Close()
		}
	})
	return func() {
		cancel()
		all.Wait()
	}
}

// checkDashboard checks that every query of the dashboard returns data.
func checkDashboard(t *testing.T) {
	t.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text := world.kubectl(t, "get", "configmap", "roomspa-dashboard", "-o", `jsonpath={.data.*}`)
	if err := json.Unmarshal([]byte(text), &board); err != nil {
		t.Fatal(err)
	}
	queries := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			queries++
			expression := strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")
			eventually(t, fmt.Sprintf("panel %q has data: %s", p.Title, expression), 30*time.Second, func() bool { // a new series needs two scrapes
				return len(query(t, expression)) > 0
			})
		}
	}
	t.Logf("the dashboard has %d panels and %d queries", len(board.Panels), queries)
}
