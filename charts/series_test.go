package charts

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

type metric struct {
	kind   string
	labels []string
}

// readMetrics reads the tables of docs/metrics.md. A test of the main module checks them
// against the code.
func readMetrics(t *testing.T) map[string]metric {
	t.Helper()
	text, err := os.ReadFile("testdata/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]metric{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(roomspa_\\w+)` \\| (\\w+) \\| ([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		m := metric{kind: row[2]}
		for _, l := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[3], -1) {
			m.labels = append(m.labels, l[1])
		}
		all[row[1]] = m
	}
	if len(all) < 30 {
		t.Fatalf("only %d metrics found: has the page another form?", len(all))
	}
	return all
}

type panel struct {
	ID         int                      `json:"id"`
	Type       string                   `json:"type"`
	Title      string                   `json:"title"`
	GridPos    struct{ X, Y, W, H int } `json:"gridPos"`
	Datasource map[string]string        `json:"datasource"`
	Targets    []struct{ Expr string }  `json:"targets"`
}

func dashboard(t *testing.T, values string) []panel {
	t.Helper()
	var d struct {
		Title, UID string
		Panels     []panel
	}
	if err := json.Unmarshal([]byte(render(t, values).dashboard.Data["demo-roomspa--chat.json"]), &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || len(d.Panels) < 20 {
		t.Fatalf("dashboard %q, %q with %d panels", d.Title, d.UID, len(d.Panels))
	}
	return d.Panels
}

// expressions returns all queries of the chart by their place.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"KEDA": render(t, matrix["KEDA"]).scaled.Spec.Triggers[0].Metadata["query"]}
	for name, rule := range alerts(t) {
		all["alert "+name] = rule.Expr.String()
	}
	for _, p := range dashboard(t, matrix["a dashboard"]) {
		for i, target := range p.Targets {
			all[fmt.Sprintf("panel %s %d", p.Title, i)] = target.Expr
		}
	}
	return all
}

// An alert on a series that does not exist would never fire.
func TestEverySeriesExists(t *testing.T) {
	t.Parallel()
	metrics := readMetrics(t)
	scraped := []string{"namespace", "pod"} // labels that Prometheus adds
	used := regexp.MustCompile(`\b(roomspa_\w+)\{((?:[^"}]|"[^"]*")*)\}`)
	matcher := regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)"`)
	for where, expr := range expressions(t) {
		all := used.FindAllStringSubmatch(expr, -1)
		if len(all) != strings.Count(expr, "roomspa_") {
			t.Errorf("%s: a series without the release's labels, or with ones that were not understood: %s", where, expr)
		}
		for _, u := range all {
			name := u[1]
			m, known := metrics[name]
			if base, bucket := strings.CutSuffix(name, "_bucket"); !known && bucket {
				m, known = metrics[base]
				known = known && m.kind == "histogram"
			} else if known && m.kind == "histogram" {
				t.Errorf("%s: %s is a histogram: it has no series of that name", where, name)
			}
			if !known {
				t.Errorf("%s: there is no metric %s", where, name)
				continue
			}
			for _, l := range matcher.FindAllStringSubmatch(u[2], -1) {
				if !slices.Contains(append(scraped, m.labels...), l[1]) {
					t.Errorf("%s: %s has no label %s", where, name, l[1])
				}
			}
			if counter := m.kind == "counter"; counter && !regexp.MustCompile(`(rate|increase)\([^()]*`+name).MatchString(expr) {
				t.Errorf("%s: %s only ever grows: take its rate", where, name)
			}
		}
	}
}

// promtool checks expressions only in rules, so the expressions of panels become rules.
func TestEveryExpressionCanBeRead(t *testing.T) {
	t.Parallel()
	tool, group := promtool(t), monitoringv1.RuleGroup{Name: "all"}
	for where, expr := range expressions(t) {
		name := "x:" + regexp.MustCompile(`\W`).ReplaceAllString(where, "_")
		expr = strings.ReplaceAll(expr, "$__rate_interval", "1m")
		group.Rules = append(group.Rules, monitoringv1.Rule{Record: name, Expr: intstr.FromString(expr)})
	}
	file := rules(t, t.TempDir(), []monitoringv1.RuleGroup{group})
	if out, err := exec.CommandContext(t.Context(), tool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
}

func TestDashboardIsLaidOut(t *testing.T) {
	t.Parallel()
	panels, ids := dashboard(t, matrix["a dashboard, own series"]), map[int]bool{}
	for i, p := range panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d, %q at %+v: its id is taken, it has no title, or it is out of the grid", p.ID, p.Title, p.GridPos)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Datasource["uid"] != "${datasource}" || len(p.Targets) == 0) {
			t.Errorf("panel %q asks %v for %v", p.Title, p.Datasource, p.Targets)
		}
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, `{job="x",cluster="eu"`) {
				t.Errorf("panel %q does not look at the release's series: %s", p.Title, target.Expr)
			}
		}
		for _, q := range panels[:i] {
			a, b := p.GridPos, q.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %q and %q overlap", p.Title, q.Title)
			}
		}
	}
	if labels := render(t, matrix["a dashboard"]).dashboard.Labels; labels["grafana"] != "yes-please" {
		t.Errorf("Grafana's sidecar finds it by %v", labels)
	}
}

func TestScraping(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]bool{"the defaults": {true, false}, "a pod monitor": {false, true}, "no scraping": {false, false}} {
		r := render(t, matrix[name])
		if got := [2]bool{r.deployment.Spec.Template.Annotations["prometheus.io/scrape"] == "true", r.podMonitor != nil}; got != want {
			t.Errorf("%s: annotations and pod monitor %v, want %v", name, got, want)
		}
	}
	r := render(t, matrix["a pod monitor"])
	endpoint := r.podMonitor.Spec.PodMetricsEndpoints[0]
	if *endpoint.Port != "ops" || endpoint.Path != "/metrics" || endpoint.Interval != "30s" || r.podMonitor.Labels["release"] != "prometheus" {
		t.Errorf("the pod monitor has labels %v, and looks at %+v", r.podMonitor.Labels, endpoint)
	}
	if !selects(t, &r.podMonitor.Spec.Selector, r.deployment.Spec.Template.Labels) {
		t.Error("the pod monitor does not find the replicas")
	}
	if selects(t, &r.podMonitor.Spec.Selector, r.job.Spec.Template.Labels) {
		t.Error("the pod monitor looks at migrations")
	}
}
