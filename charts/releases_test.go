package charts

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
)

// named returns the options of `helm install NAME --namespace NAMESPACE`.
func named(name, namespace string) common.ReleaseOptions {
	as := install
	as.Name, as.Namespace = name, namespace
	return as
}

func renderAs(t *testing.T, as common.ReleaseOptions, values string) release {
	t.Helper()
	files, err := templatesAs(as, values)
	if err != nil {
		t.Fatalf("render %s: %v", as.Name, err)
	}
	return decode(t, files)
}

// neighbours are releases of one namespace whose names are alike.
var neighbours = []string{
	"roomspa", "roomspa-eu", "eu", "roomspa-6c9d8bf5b4", "roomspa-eu-6c9d8bf5b4", "x.roomspa", "demo",
	"a-name-that-is-as-long-as-helm-allows-one-for-roomspa", "a-name-that-is-almost-as-long-as-helm-allows-it-for",
	"a-name-that-is-as-long-as-helm-allows-one-for-roomsp2", "a-name-that-is-as-long-as-helm-allows-one-for-roomsp3",
}

// podName returns the name that Kubernetes gives to a pod of a Deployment: at most 58
// characters of the ReplicaSet's name and a dash, and 5 more.
func podName(deployment, hash string) string {
	name := deployment + "-" + hash + "-"
	return name[:min(len(name), 58)] + "x7k2p"
}

// Selectors and queries of a release hold its own pods and none of another release.
func TestReleasesOfANamespaceAreKeptApart(t *testing.T) {
	t.Parallel()
	const values = "{alerts: {enabled: true}, networkPolicy: {enabled: true}, metrics: {scrape: podMonitor}, autoscaling: {by: keda, keda: {serverAddress: 'http://p'}}}"
	releases := map[string]release{}
	for _, name := range neighbours {
		releases[name] = renderAs(t, named(name, "chat"), values)
	}
	pods := regexp.MustCompile(`pod=~"([^"]*)"`)
	for name, r := range releases {
		query := pods.FindStringSubmatch(r.scaled.Spec.Triggers[0].Metadata["query"])[1]
		if expr := r.rules.Spec.Groups[0].Rules[0].Expr.String(); pods.FindStringSubmatch(expr)[1] != query {
			t.Errorf("%s: an alert asks for %s, KEDA for %s", name, expr, query)
		}
		matches := regexp.MustCompile("^(?:" + query + ")$")
		for other, o := range releases {
			for _, hash := range []string{"6c9d", "6c9d8bf5b4", "58f7d9c7b"} {
				if pod := podName(o.deployment.Name, hash); matches.MatchString(pod) != (name == other) {
					t.Errorf("%s of %s selects the pod %s of %s: %v", query, name, pod, other, name != other)
				}
			}
			for kind, pod := range o.pods() {
				want := name == other && kind == "deployment"
				for selector, s := range map[string]bool{
					"deployment": selects(t, r.deployment.Spec.Selector, pod.Labels), "budget": selects(t, r.budget.Spec.Selector, pod.Labels),
					"pod monitor": selects(t, &r.podMonitor.Spec.Selector, pod.Labels),
				} {
					if s != want {
						t.Errorf("the %s of %s selects the %s of %s: %v", selector, name, kind, other, s)
					}
				}
				if name != other && selects(t, &r.policies[r.deployment.Name].Spec.PodSelector, pod.Labels) {
					t.Errorf("the network policy of %s selects the %s of %s", name, kind, other)
				}
			}
		}
	}
}

// Alertmanager would take alerts of two releases for one if their labels were the same.
func TestAlertsOfTwoReleases(t *testing.T) {
	t.Parallel()
	tool, dir := promtool(t), t.TempDir()
	groups := renderAs(t, named("roomspa", "chat"), withAlerts).rules.Spec.Groups
	for i := range groups {
		for j := range groups[i].Rules {
			groups[i].Rules[j].Annotations = nil
		}
	}
	rules(t, dir, groups)
	test := filepath.Join(dir, "test.yaml")
	err := os.WriteFile(test, []byte(`
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'roomspa_redis_up{namespace="chat",pod="roomspa-eu-6c9d-abcde"}', values: '1x10'}
    alert_rule_test:
      - eval_time: 5m
        alertname: RoomspaNoReplica
        exp_alerts: [{exp_labels: {severity: critical, namespace: chat, release: roomspa}}]
  - interval: 1m
    input_series:
      - {series: 'roomspa_redis_up{namespace="chat",pod="roomspa-6c9d-abcde"}', values: '1x10'}
    alert_rule_test: [{eval_time: 5m, alertname: RoomspaNoReplica, exp_alerts: []}]
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "test", "rules", test).CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
	for _, rule := range alerts(t) {
		if rule.Labels["release"] != "demo" || rule.Labels["namespace"] != "chat" {
			t.Errorf("%s does not name its release: %v", rule.Alert, rule.Labels)
		}
	}
}

// One Grafana keeps the dashboards of all releases by file name and uid.
func TestDashboardsOfSeveralReleases(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, as := range [][2]string{
		{"roomspa", "prod"},
		{"roomspa-eu", "prod"},
		{"roomspa", "staging"},
		{"eu", "prod"},
		{"roomspa", "prod-eu"},
		{"roomspa--a", "b"},
		{"roomspa", "a--b"},
		{neighbours[7], "prod"},
		{neighbours[7], "staging"},
	} {
		r := renderAs(t, named(as[0], as[1]), "dashboard: {enabled: true}")
		for file, text := range r.dashboard.Data {
			var d struct{ UID, Title string }
			if err := json.Unmarshal([]byte(text), &d); err != nil {
				t.Fatal(err)
			}
			if len(d.UID) > 40 || !regexp.MustCompile(`^[-\w]+$`).MatchString(d.UID) || d.Title != r.deployment.Name+" ("+as[1]+")" {
				t.Errorf("%v: uid %q, title %q", as, d.UID, d.Title)
			}
			for _, id := range []string{"uid " + d.UID, "title " + d.Title, "file " + file} {
				if other, taken := seen[id]; taken {
					t.Errorf("%s is taken by %s and %s", id, other, as)
				}
				seen[id] = as[0] + " in " + as[1]
			}
		}
	}
}

// A chart that asks the cluster renders otherwise in `helm template`, in a diff and in GitOps.
func TestRendersFromValuesOnly(t *testing.T) {
	t.Parallel()
	asks := regexp.MustCompile(`\b(lookup|now|uuidv4|rand\w+|gen\w+|derivePassword|getHostByName)\b|\.Release\.(Is|Revision)|\.Capabilities\.APIVersions`)
	files, err := filepath.Glob("roomspa/templates/*")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d templates, %v", len(files), err)
	}
	code := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, action := range code.FindAllString(string(text), -1) {
			if !strings.HasPrefix(strings.TrimLeft(action, "{- "), "/*") && asks.MatchString(action) {
				t.Errorf("%s: %s", file, action)
			}
		}
	}
	upgrade := install
	upgrade.IsInstall, upgrade.IsUpgrade, upgrade.Revision = false, true, 7
	first, err := templates(everything)
	if err != nil {
		t.Fatal(err)
	}
	if later, err := templatesAs(upgrade, everything); err != nil || !cmp.Equal(first, later) {
		t.Errorf("an upgrade renders otherwise than an install: %v\n%s", err, cmp.Diff(first, later))
	}
}

// kubectl apply has no namespace of the release.
func TestObjectsNameTheirNamespace(t *testing.T) {
	t.Parallel()
	files, err := templates(everything)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		kinds := strings.Count("\n"+text, "\nkind: ")
		if got := strings.Count(text, "\n  namespace: \"chat\"\n"); got != kinds && !strings.HasSuffix(name, ".txt") {
			t.Errorf("%s: %d of %d objects name their namespace", name, got, kinds)
		}
	}
}

// A name that another release gives to one of its objects is refused, as are names that
// Kubernetes would refuse.
func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"roomspa-ops": "roomspa", "a-roomspa-migrate": "a-roomspa", "roomspa-eu-check": "roomspa-eu"} {
		if _, err := templatesAs(named(name, "chat"), ""); err == nil || !strings.Contains(err.Error(), "a release named "+want) || !strings.Contains(err.Error(), "fullnameOverride") {
			t.Errorf("%s: %v", name, err)
		}
		if got := renderAs(t, named(name, "chat"), "fullnameOverride: chat").deployment.Name; got != "chat" {
			t.Errorf("%s with another name: %s", name, got)
		}
	}
	if _, err := templatesAs(named("1234", "chat"), ""); err == nil || !strings.Contains(err.Error(), "1234-roomspa") || !strings.Contains(err.Error(), "begin with a letter") {
		t.Errorf("a Service whose name begins with a digit: %v", err)
	}
	r := renderAs(t, named("1234", "1e3"), "fullnameOverride: chat") // numbers to YAML
	if r.deployment.Namespace != "1e3" || r.deployment.Spec.Selector.MatchLabels["app.kubernetes.io/instance"] != "1234" {
		t.Errorf("%s in %s selects %v", r.deployment.Name, r.deployment.Namespace, r.deployment.Spec.Selector)
	}
	if got := renderAs(t, named("my.app", "chat"), "").services["my-app-roomspa"]; got == nil {
		t.Error("a release with a dot has no Service of a valid name")
	}
	if long := strings.Repeat("a", 52); renderAs(t, named(long+"b", "chat"), "").deployment.Name == renderAs(t, named(long+"c", "chat"), "").deployment.Name {
		t.Error("two long releases have objects of one name")
	}
	labels := render(t, matrix["own labels and names"])
	for kind, object := range map[string]map[string]string{"deployment": labels.deployment.Labels, "job": labels.job.Labels, "ingress": labels.ingress.Labels, "service": labels.services["demo-roomspa"].Labels} {
		if object["team"] != "chat" {
			t.Errorf("%s: labels %v", kind, object)
		}
	}
	if got := labels.deployment.Spec.Template.Labels["team"]; got != "pods" || labels.ingress.Annotations["owner"] != "chat" || labels.ingress.Annotations["a"] != "b" {
		t.Errorf("team %s of the pods, annotations %v of the ingress", got, labels.ingress.Annotations)
	}
}
