// Package charts tests the chart: rendered by Helm's own engine, decoded
// strictly into Kubernetes' own types.
package charts

import (
	"flag"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden render and the options of the values schema")

// release is what the chart makes of some values. A kind that is not listed
// here, a Secret above all, fails to decode.
type release struct {
	deployment     *appsv1.Deployment
	job            *batchv1.Job
	services       map[string]*corev1.Service
	serviceAccount *corev1.ServiceAccount
	notes          string
}

// templates renders the chart as `helm install demo` would, the schema included,
// and returns the text by template.
func templates(values string) (map[string]string, error) {
	chart, err := loader.LoadDir("roomspa")
	if err != nil {
		return nil, fmt.Errorf("load the chart: %w", err)
	}
	own, err := loader.LoadValues(strings.NewReader(values))
	if err != nil {
		return nil, fmt.Errorf("read the values: %w", err)
	}
	install := common.ReleaseOptions{Name: "demo", Namespace: "chat", IsInstall: true, Revision: 1}
	all, err := util.ToRenderValues(chart, own, install, nil)
	if err != nil {
		return nil, err
	}
	// Strict: a value that values.yaml does not have is an error, not "<no value>".
	return engine.Engine{Strict: true}.Render(chart, all)
}

func render(t *testing.T, values string) release {
	t.Helper()
	files, err := templates(values)
	if err != nil {
		t.Fatalf("render: %v", err)
	}
	r := release{services: map[string]*corev1.Service{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch text := files[name]; {
		case path.Base(name) == "NOTES.txt":
			r.notes = text
		case strings.TrimSpace(text) != "" && !strings.HasPrefix(path.Base(name), "_"):
			if err := r.decode(text); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, text)
			}
		}
	}
	return r
}

// decode takes one object: the chart keeps each in a file of its own.
func (r *release) decode(text string) error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
		return err
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "apps/v1 Deployment":
		return yaml.UnmarshalStrict([]byte(text), &r.deployment)
	case "batch/v1 Job":
		return yaml.UnmarshalStrict([]byte(text), &r.job)
	case "v1 ServiceAccount":
		return yaml.UnmarshalStrict([]byte(text), &r.serviceAccount)
	case "v1 Service":
		var s *corev1.Service
		err := yaml.UnmarshalStrict([]byte(text), &s)
		if err == nil {
			r.services[s.Name] = s
		}
		return err
	}
	return fmt.Errorf("unexpected kind %s %s", kind.APIVersion, kind.Kind)
}

// pods returns the pod templates by what they are for.
func (r *release) pods() map[string]corev1.PodTemplateSpec {
	pods := map[string]corev1.PodTemplateSpec{"deployment": r.deployment.Spec.Template}
	if r.job != nil {
		pods["job"] = r.job.Spec.Template
	}
	return pods
}
