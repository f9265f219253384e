package charts

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// The tests of testdata/alerts belong to this release. It has an autoscaler, since one
// alert needs it.
const withAlerts = "{alerts: {enabled: true}, autoscaling: {by: hpa}}"

// promtool returns the path of promtool. Without it the test is skipped; tools/deps.sh
// warns of that.
func promtool(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"promtool", filepath.Join(os.Getenv("ROOMSPA_DEPS"), "usr/bin/promtool")} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	t.Skip("promtool is not here: the alerts are not tried")
	return ""
}

// rules writes a rule file for promtool and returns its name.
func rules(t *testing.T, dir string, groups []monitoringv1.RuleGroup) string {
	t.Helper()
	text, err := yaml.Marshal(monitoringv1.PrometheusRuleSpec{Groups: groups})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func alerts(t *testing.T) map[string]monitoringv1.Rule {
	t.Helper()
	all := map[string]monitoringv1.Rule{}
	for _, group := range render(t, withAlerts).rules.Spec.Groups {
		for _, rule := range group.Rules {
			all[rule.Alert] = rule
		}
	}
	return all
}

// try runs the test of an alert against the given version of the alert.
func try(t *testing.T, rule monitoringv1.Rule) (output string, passed bool) {
	t.Helper()
	tool, dir := promtool(t), t.TempDir()
	rule.Annotations = nil // promtool would compare them
	rules(t, dir, []monitoringv1.RuleGroup{{Name: "alerts", Rules: []monitoringv1.Rule{rule}}})
	text, err := os.ReadFile("testdata/alerts/" + rule.Alert + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	test := filepath.Join(dir, "test.yaml")
	if err := os.WriteFile(test, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tool, "test", "rules", test).CombinedOutput()
	return string(out), err == nil
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	for name, rule := range alerts(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, passed := try(t, rule); !passed {
				t.Errorf("%s\n%s", rule.Expr.String(), out)
			}
		})
	}
}

// The tests of the alerts must fail for an alert that never fires, one that always fires,
// and one that does not wait.
func TestAlertTestsNoticeABrokenAlert(t *testing.T) {
	t.Parallel()
	for name, rule := range alerts(t) {
		for how, expr := range map[string]string{"never fires": "vector(0) > 1", "always fires": "vector(1)"} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				broken := rule
				broken.Expr = intstr.FromString(expr)
				if _, passed := try(t, broken); passed {
					t.Errorf("its test passes with the expression %s", expr)
				}
			})
		}
	}
}

func TestAlertsAreWellFormed(t *testing.T) {
	t.Parallel()
	tool := promtool(t)
	for name, values := range map[string]string{"with": withAlerts, "without": "{alerts: {enabled: true}, metrics: {selector: 'job=\"x\"'}}"} {
		file := rules(t, t.TempDir(), render(t, values).rules.Spec.Groups)
		if out, err := exec.CommandContext(t.Context(), tool, "check", "rules", file).CombinedOutput(); err != nil {
			t.Errorf("%s an autoscaler: %s", name, out)
		}
	}
}

// Each alert has a summary, a description, a severity and a link to the runbook.
func TestAlertsSayWhatToDo(t *testing.T) {
	t.Parallel()
	runbook, err := os.ReadFile("testdata/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := regexp.MustCompile(`(?m)^### (Roomspa\w+)$`).FindAllStringSubmatch(string(runbook), -1)
	all := alerts(t)
	for _, s := range sections {
		if _, known := all[s[1]]; !known {
			t.Errorf("the runbook has an entry for %s, and there is no such alert", s[1])
		}
	}
	for name, rule := range all {
		a := rule.Annotations
		if a["summary"] == "" || a["description"] == "" || !slices.Contains([]string{"warning", "critical"}, rule.Labels["severity"]) {
			t.Errorf("%s: labels %v, annotations %v", name, rule.Labels, a)
		}
		const page = "https://github.com/roomspa/roomspa/blob/main/docs/troubleshooting.md#"
		if want := page + strings.ToLower(name); a["runbook_url"] != want {
			t.Errorf("%s leads to %s, want %s", name, a["runbook_url"], want)
		}
		if !slices.ContainsFunc(sections, func(s []string) bool { return s[1] == name }) {
			t.Errorf("%s has no entry in the runbook", name)
		}
		if rule.For != nil {
			if _, err := time.ParseDuration(string(*rule.For)); err != nil {
				t.Errorf("%s waits %s: %v", name, *rule.For, err)
			}
		}
	}
	moved := render(t, matrix["alerts and an autoscaler"]).rules.Spec.Groups[0].Rules[0].Annotations["runbook_url"]
	if want := "https://wiki.example.com/chat#roomspanoreplica"; moved != want {
		t.Errorf("with a runbook elsewhere it leads to %s, want %s", moved, want)
	}
}

// With no replicas wanted, an alert about missing ones would never clear.
func TestNoReplicaIsNoAlertWhereNoneIsWanted(t *testing.T) {
	t.Parallel()
	if rule := render(t, matrix["alerts, nothing runs"]).rules.Spec.Groups[0].Rules[0]; rule.Alert == "RoomspaNoReplica" {
		t.Error("it fires for a release that has no replicas on purpose")
	}
}

func TestAlertsKnowTheLimit(t *testing.T) {
	t.Parallel()
	groups := render(t, "{alerts: {enabled: true}, options: {soft-limit: 5000}}").rules.Spec.Groups
	i := slices.IndexFunc(groups, func(g monitoringv1.RuleGroup) bool { return strings.HasSuffix(g.Name, ".capacity") })
	if expr := groups[i].Rules[0].Expr.String(); !strings.Contains(expr, "/ 5000 > 0.85") {
		t.Errorf("a replica of 5,000 sockets is near capacity when %s", expr)
	}
}
