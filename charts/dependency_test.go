package charts

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	dependencies "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
)

// renderParent renders a chart that has roomspa as dependencies.
func renderParent(t *testing.T, values string, as ...*chart.Dependency) map[string]string {
	t.Helper()
	own, err := loader.LoadDir("roomspa")
	if err != nil {
		t.Fatal(err)
	}
	given, err := loader.LoadValues(strings.NewReader(values))
	if err != nil {
		t.Fatal(err)
	}
	parent := &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: "parent", Version: "0.1.0", Dependencies: as}, Values: given}
	parent.AddDependency(own)
	var all common.Values = given
	if err := dependencies.ProcessDependencies(parent, all); err != nil {
		t.Fatal(err)
	}
	all, err = util.ToRenderValues(parent, given, install, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Engine{Strict: true}.Render(parent, all)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestChartAsADependency(t *testing.T) {
	t.Parallel()
	const once = "{name: roomspa, version: 0.1.0, condition: roomspa.enabled}"
	for values, want := range map[string]int{
		"roomspa: {enabled: true}":                                            1,
		"roomspa: {enabled: false}":                                           0,
		"{roomspa: {enabled: true, tags: {chat: true}}, global: {a: b}}":      1,
		"{roomspa: {podSecurityContext: {runAsUser: null}}, tags: {x: true}}": 1,
	} {
		files := renderParent(t, values, &chart.Dependency{Name: "roomspa", Version: "0.1.0", Condition: "roomspa.enabled"})
		if got := count(files, "kind: Deployment"); got != want {
			t.Errorf("%s with %s: %d Deployments, want %d", values, once, got, want)
		}
		if text := strings.Join(slices.Collect(maps.Values(files)), ""); strings.Contains(values, "null") && strings.Contains(text, "runAsUser") {
			t.Errorf("%s: the user id is still there", values)
		}
	}
}

// A parent chart may have roomspa twice, under other names.
func TestChartTwiceUnderAliases(t *testing.T) {
	t.Parallel()
	files := renderParent(t, "{eu: {enabled: true}, us: {enabled: true}}",
		&chart.Dependency{Name: "roomspa", Version: "0.1.0", Alias: "eu", Condition: "eu.enabled"},
		&chart.Dependency{Name: "roomspa", Version: "0.1.0", Alias: "us", Condition: "us.enabled"})
	parts := map[string]map[string]string{"eu": {}, "us": {}}
	for name, text := range files {
		parts[strings.Split(name, "/")[2]][name] = text
	}
	eu, us := decode(t, parts["eu"]), decode(t, parts["us"])
	if eu.deployment.Name != "demo-eu" || us.deployment.Name != "demo-us" {
		t.Errorf("Deployments %s and %s", eu.deployment.Name, us.deployment.Name)
	}
	if selects(t, eu.deployment.Spec.Selector, us.deployment.Spec.Template.Labels) {
		t.Error("one selects the pods of the other")
	}
}

func count(files map[string]string, part string) (n int) {
	for _, text := range files {
		n += strings.Count(text, part)
	}
	return n
}
