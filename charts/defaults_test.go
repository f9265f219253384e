package charts

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

const defaultsFile = "roomspa/defaults.yaml"

// Templates cannot read values.yaml, so the chart has its values in another file too.
func TestDefaultsFileHasTheValues(t *testing.T) {
	text, err := os.ReadFile("roomspa/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatal(err)
	}
	want, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	want = append([]byte("# Copy of values.yaml for the templates, written by `go test . -update`.\n"), want...)
	if *update {
		if err := os.WriteFile(defaultsFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(defaultsFile); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s and values.yaml differ (%v); run `go test . -update`:\n%s", defaultsFile, err, cmp.Diff(string(want), string(got)))
	}
}

// A template that reads values before they are complete would depend on the order of
// templates.
func TestTemplatesStartWithTheDefaults(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("roomspa/templates/*")
	tests, _ := filepath.Glob("roomspa/templates/tests/*")
	for _, file := range append(files, tests...) {
		text, err := os.ReadFile(file)
		if err == nil && filepath.Ext(file) != ".tpl" && !bytes.HasPrefix(text, []byte(`{{- include "roomspa.defaults" . -}}`)) {
			t.Errorf("%s does not start with the defaults", file)
		}
	}
}

// reuse renders the chart as `helm upgrade --reuse-values --set …` does: old values, as they
// were computed with the former chart, replace values.yaml.
func reuse(t *testing.T, old, given map[string]any) (map[string]string, error) {
	t.Helper()
	chart, err := loader.LoadDir("roomspa")
	if err != nil {
		t.Fatal(err)
	}
	chart.Values = old
	all, err := util.ToRenderValues(chart, given, install, nil)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(chart, all)
}

// values returns the values of the chart under those of a text.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	chart, err := loader.LoadDir("roomspa")
	if err != nil {
		t.Fatal(err)
	}
	own, err := loader.LoadValues(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all, err := util.CoalesceValues(chart, own)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The values of the first chart lack 27 of the keys that came later.
func TestUpgradeReusesTheValuesOfAnOldChart(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/first-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	old, err := loader.LoadValues(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{"{}", everything} {
		own, err := loader.LoadValues(strings.NewReader(given))
		if err != nil {
			t.Fatal(err)
		}
		got, err := reuse(t, old, own)
		if err != nil {
			t.Fatal(err)
		}
		want, err := templates(given)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("it renders otherwise than an install (-install +upgrade): %v\n%s", err, diff)
		}
	}
}

// whole are objects whose parts can be taken away, so an absent part is not a default.
var whole = []string{"resources", "podSecurityContext", "securityContext", "autoscaling.behavior", "dashboard.labels"}

// A value that is absent or null has its default: each key at the top on its own, and all values
// further in together.
func TestEveryValueHasADefault(t *testing.T) {
	t.Parallel()
	chart, err := loader.LoadDir("roomspa")
	if err != nil {
		t.Fatal(err)
	}
	for name, all := range map[string]map[string]any{"the defaults": values(t, ""), "everything": values(t, everything)} {
		base, err := reuse(t, all, nil)
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, old, given map[string]any) {
			if got, err := reuse(t, old, given); err != nil || !cmp.Equal(base, got) {
				t.Errorf("%s, %s: %v\n%s", name, what, err, cmp.Diff(base, got))
			}
		}
		absent := without(all, chart.Values, "")
		check("all absent", absent, nil)
		// Helm drops a null of a key that the chart's values have, and passes on other nulls.
		check("all null", all, without(all, chart.Values, "", nil))
		check("all null and new", absent, without(all, chart.Values, "", nil))
		for key, value := range chart.Values {
			if !cmp.Equal(all[key], value) {
				continue // given
			}
			absent := maps.Clone(all)
			delete(absent, key)
			check(key+" absent", absent, nil)
			check(key+" null", absent, map[string]any{key: nil})
		}
	}
}

// without returns values of which those that are not given are absent, or replaced by null.
func without(values, defaults map[string]any, path string, null ...any) map[string]any {
	left := map[string]any{}
	for key, value := range values {
		below, ok := defaults[key].(map[string]any)
		switch {
		case ok && len(below) > 0 && !slices.Contains(whole, path+key):
			left[key] = without(value.(map[string]any), below, path+key+".", null...)
		case !cmp.Equal(value, defaults[key]):
			left[key] = value
		case len(null) > 0:
			left[key] = null[0]
		}
	}
	return left
}

// A null takes a part of these objects away: at the top, and beside parts without a default.
func TestNullTakesPartsAway(t *testing.T) {
	t.Parallel()
	for _, given := range []string{"{limits: null}", "{limits: {memory: null, cpu: null}}", "{limits: {memory: ''}}", "{limits: {cpu: null, memory: null}, requests: null}"} {
		r := render(t, "resources: "+given)
		if got := r.deployment.Spec.Template.Spec.Containers[0].Resources; len(got.Limits) > 0 {
			t.Errorf("%s: limits %v", given, got.Limits)
		}
	}
	r := render(t, "{options: {log-level: null, origins: null}, podAnnotations: {a: null, b: c}}")
	pod := r.deployment.Spec.Template
	_, level := environment(pod)["ROOMSPA_LOG_LEVEL"]
	if _, a := pod.Annotations["a"]; level || a || pod.Annotations["b"] != "c" {
		t.Errorf("variables %v, annotations %v", pod.Spec.Containers[0].Env, pod.Annotations)
	}
}
