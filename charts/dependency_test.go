package charts

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	dependencies "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
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

// An alias is also a key of the values, so that it often has capitals and underscores.
func TestNamesUnderAnAlias(t *testing.T) {
	t.Parallel()
	for alias, want := range map[string]string{"roomspaEU": "demo-roomspaeu", "chat_eu": "demo-chat-eu"} {
		files := renderParent(t, "{}", &chart.Dependency{Name: "roomspa", Version: "0.1.0", Alias: alias})
		if got := decode(t, files).deployment.Name; got != want {
			t.Errorf("under %s it is named %s, want %s", alias, got, want)
		}
	}
}

// Helm removes a null where it merges values, or leaves it, depending on who gives it.
func TestNullsOfAParentChart(t *testing.T) {
	t.Parallel()
	as := &chart.Dependency{Name: "roomspa", Version: "0.1.0"}
	given := map[string]any{}
	for key := range values(t, "") {
		given[key] = nil
	}
	text, err := yaml.Marshal(map[string]any{"roomspa": given})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(renderParent(t, "{}", as), renderParent(t, string(text), as)); diff != "" {
		t.Errorf("with each value null (-default +null):\n%s", diff)
	}
}

func count(files map[string]string, part string) (n int) {
	for _, text := range files {
		n += strings.Count(text, part)
	}
	return n
}
