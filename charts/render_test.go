// Package charts tests the Helm chart. It renders the chart with Helm's engine and decodes
// the objects strictly into the types of Kubernetes.
package charts

import (
	"flag"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write anew what is made of the chart and of the options")

// release holds the objects that the chart renders. A kind without a field here, such as
// a Secret, fails to decode.
type release struct {
	deployment     *appsv1.Deployment
	serviceAccount *corev1.ServiceAccount
	ingress        *networkingv1.Ingress
	route          *gatewayv1.HTTPRoute
	budget         *policyv1.PodDisruptionBudget
	hpa            *autoscalingv2.HorizontalPodAutoscaler
	scaled         *scaledObject
	podMonitor     *monitoringv1.PodMonitor
	rules          *monitoringv1.PrometheusRule
	dashboard      *corev1.ConfigMap
	job            *batchv1.Job
	services       map[string]*corev1.Service
	policies       map[string]*networkingv1.NetworkPolicy
	tests          map[string]*corev1.Pod
	notes          string
	token          bool // whether the values mount the service account's token
	anyUser        bool // whether the values leave the user id to the cluster
}

// scaledObject has the fields of KEDA's type that the chart uses. KEDA's module has too
// many dependencies.
type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ScaleTargetRef  autoscalingv2.CrossVersionObjectReference `json:"scaleTargetRef"`
		PollingInterval int32                                     `json:"pollingInterval"`
		MinReplicaCount int32                                     `json:"minReplicaCount"`
		MaxReplicaCount int32                                     `json:"maxReplicaCount"`
		Fallback        struct {
			FailureThreshold int32  `json:"failureThreshold"`
			Replicas         int32  `json:"replicas"`
			Behavior         string `json:"behavior"`
		} `json:"fallback"`
		Advanced struct {
			HPA struct {
				Name     string                                         `json:"name"`
				Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior"`
			} `json:"horizontalPodAutoscalerConfig"`
		} `json:"advanced"`
		Triggers []struct {
			Type              string            `json:"type"`
			MetricType        string            `json:"metricType"`
			Metadata          map[string]string `json:"metadata"`
			AuthenticationRef *struct {
				Name string `json:"name"`
				Kind string `json:"kind"`
			} `json:"authenticationRef"`
		} `json:"triggers"`
	} `json:"spec"`
}

// install has the options of `helm install demo --namespace chat`.
var install = common.ReleaseOptions{Name: "demo", Namespace: "chat", IsInstall: true, Revision: 1}

// templates validates the values, renders the chart and returns the text by template.
func templates(values string) (map[string]string, error) {
	return templatesAs(install, values)
}

func templatesAs(as common.ReleaseOptions, values string) (map[string]string, error) {
	chart, err := loader.LoadDir("roomspa")
	if err != nil {
		return nil, fmt.Errorf("load the chart: %w", err)
	}
	own, err := loader.LoadValues(strings.NewReader(values))
	if err != nil {
		return nil, fmt.Errorf("read the values: %w", err)
	}
	all, err := util.ToRenderValues(chart, own, as, nil)
	if err != nil {
		return nil, err
	}
	// A value that values.yaml does not have is an error and not "<no value>".
	return engine.Engine{Strict: true}.Render(chart, all)
}

func render(t *testing.T, values string) release {
	t.Helper()
	files, err := templates(values)
	if err != nil {
		t.Fatalf("render: %v", err)
	}
	return decode(t, files)
}

func decode(t *testing.T, files map[string]string) release {
	t.Helper()
	r := release{services: map[string]*corev1.Service{}, policies: map[string]*networkingv1.NetworkPolicy{}, tests: map[string]*corev1.Pod{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch text := files[name]; {
		case path.Base(name) == "NOTES.txt":
			r.notes = text
		case strings.TrimSpace(text) != "" && !strings.HasPrefix(path.Base(name), "_"):
			for object := range strings.SplitSeq("\n"+text, "\n---\n") {
				if strings.TrimSpace(object) == "" {
					continue // before the first document
				}
				if err := r.add(object); err != nil {
					t.Fatalf("%s: %v\n%s", name, err, object)
				}
			}
		}
	}
	return r
}

// add decodes one object.
func (r *release) add(text string) error {
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
	case "networking.k8s.io/v1 Ingress":
		return yaml.UnmarshalStrict([]byte(text), &r.ingress)
	case "gateway.networking.k8s.io/v1 HTTPRoute":
		return yaml.UnmarshalStrict([]byte(text), &r.route)
	case "policy/v1 PodDisruptionBudget":
		return yaml.UnmarshalStrict([]byte(text), &r.budget)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return yaml.UnmarshalStrict([]byte(text), &r.hpa)
	case "keda.sh/v1alpha1 ScaledObject":
		return yaml.UnmarshalStrict([]byte(text), &r.scaled)
	case "monitoring.coreos.com/v1 PodMonitor":
		return yaml.UnmarshalStrict([]byte(text), &r.podMonitor)
	case "monitoring.coreos.com/v1 PrometheusRule":
		return yaml.UnmarshalStrict([]byte(text), &r.rules)
	case "v1 ConfigMap":
		return yaml.UnmarshalStrict([]byte(text), &r.dashboard)
	case "v1 Service":
		return addTo(r.services, text)
	case "networking.k8s.io/v1 NetworkPolicy":
		return addTo(r.policies, text)
	case "v1 Pod":
		return addTo(r.tests, text)
	}
	return fmt.Errorf("unexpected kind %s %s", kind.APIVersion, kind.Kind)
}

func addTo[T any, P interface {
	*T
	GetName() string
}](by map[string]P, text string) error {
	object := P(new(T))
	err := yaml.UnmarshalStrict([]byte(text), object)
	by[object.GetName()] = object
	return err
}

// pods returns the pod templates by purpose.
func (r *release) pods() map[string]corev1.PodTemplateSpec {
	pods := map[string]corev1.PodTemplateSpec{"deployment": r.deployment.Spec.Template}
	if r.job != nil {
		pods["job"] = r.job.Spec.Template
	}
	for name, p := range r.tests {
		pods[name] = corev1.PodTemplateSpec{ObjectMeta: p.ObjectMeta, Spec: p.Spec}
	}
	return pods
}

// isClient reports whether a pod is a client of `helm test`.
func isClient(pod corev1.PodTemplateSpec) bool {
	return pod.Labels["app.kubernetes.io/component"] == "test"
}
