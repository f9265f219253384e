package charts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Each autoscaler targets the Deployment, which then sets no number of replicas, and scales
// in by the given policies.
func TestAutoscalers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r release) {
		if r.hpa != nil && r.scaled != nil {
			t.Fatal("two autoscalers pull at one Deployment")
		}
		scaled := r.hpa != nil || r.scaled != nil
		if r.deployment.Spec.Replicas == nil && !scaled {
			return // an autoscaler that is not part of the release
		}
		if (r.deployment.Spec.Replicas == nil) != scaled {
			t.Errorf("replicas %v, with an autoscaler: %v", r.deployment.Spec.Replicas, scaled)
		}
		if !scaled {
			return
		}
		var target autoscalingv2.CrossVersionObjectReference
		var behavior *autoscalingv2.HorizontalPodAutoscalerBehavior
		if r.hpa != nil {
			target, behavior = r.hpa.Spec.ScaleTargetRef, r.hpa.Spec.Behavior
		} else {
			target, behavior = r.scaled.Spec.ScaleTargetRef, r.scaled.Spec.Advanced.HPA.Behavior
		}
		if target.Kind != "Deployment" || target.Name != r.deployment.Name || target.APIVersion != "apps/v1" {
			t.Errorf("it scales %+v", target)
		}
		down := behavior.ScaleDown
		disabled := down != nil && down.SelectPolicy != nil && *down.SelectPolicy == autoscalingv2.DisabledPolicySelect
		if down == nil || len(down.Policies) == 0 && !disabled || down.StabilizationWindowSeconds == nil {
			t.Errorf("it scales down by %+v", down)
		}
	})
}

func TestScalesOnSocketsOfAReplica(t *testing.T) {
	t.Parallel()
	hpa := render(t, matrix["an autoscaler"]).hpa
	m := hpa.Spec.Metrics
	if len(m) != 1 || m[0].Pods == nil || m[0].Pods.Metric.Name != "roomspa_connections" || m[0].Pods.Target.AverageValue.Value() != 12000 {
		t.Errorf("the autoscaler looks at %+v", m)
	}
	if *hpa.Spec.MinReplicas != 2 || hpa.Spec.MaxReplicas != 5 {
		t.Errorf("between %d and %d replicas", *hpa.Spec.MinReplicas, hpa.Spec.MaxReplicas)
	}
}

// By default KEDA reads a missing series as 0, and sets a fixed number of replicas while
// Prometheus is unavailable. Both would scale in while clients are connected.
func TestKEDADoesNotScaleInBlindly(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"KEDA", "everything"} {
		s := render(t, matrix[name]).scaled.Spec
		trigger := s.Triggers[0]
		if trigger.Metadata["ignoreNullValues"] != "false" || trigger.MetricType != "AverageValue" {
			t.Errorf("%s: trigger %+v", name, trigger)
		}
		if s.Fallback.Behavior != "currentReplicasIfHigher" || s.Fallback.Replicas != s.MinReplicaCount || s.Fallback.FailureThreshold < 1 {
			t.Errorf("%s: fallback %+v", name, s.Fallback)
		}
		if trigger.AuthenticationRef == nil || trigger.AuthenticationRef.Name != "prom" {
			t.Errorf("%s: authentication %+v", name, trigger.AuthenticationRef)
		}
	}
	query := render(t, matrix["KEDA"]).scaled.Spec.Triggers[0].Metadata["query"]
	if want := `sum(roomspa_connections{namespace="chat",pod=~"demo-roomspa-[a-z0-9]+-?[a-z0-9]{5}"})`; query != want {
		t.Errorf("query %s, want %s", query, want)
	}
	trigger := render(t, matrix["KEDA with metadata"]).scaled.Spec.Triggers[0]
	if m := trigger.Metadata; m["authModes"] != "bearer" || m["query"] == "up" || trigger.AuthenticationRef.Kind != "ClusterTriggerAuthentication" {
		t.Errorf("with metadata the trigger is %+v", trigger)
	}
	if external := render(t, matrix["another autoscaler"]); external.deployment.Spec.Replicas != nil || external.hpa != nil || external.scaled != nil {
		t.Error("with an autoscaler of somebody else the release sets the number of replicas, or has its own")
	}
	query = render(t, matrix["KEDA with own series"]).scaled.Spec.Triggers[0].Metadata["query"]
	if want := `sum(roomspa_connections{job="x"})`; query != want {
		t.Errorf("query %s, want %s", query, want)
	}
}

func TestDisruptionBudget(t *testing.T) {
	t.Parallel()
	one, unavailable := intstr.FromInt32(1), policyv1.IfHealthyBudget
	got := render(t, "").budget.Spec
	want := policyv1.PodDisruptionBudgetSpec{
		MaxUnavailable: &one, UnhealthyPodEvictionPolicy: &unavailable,
		Selector: &metav1.LabelSelector{MatchLabels: render(t, "").deployment.Spec.Selector.MatchLabels},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the budget (-want +got):\n%s", diff)
	}
	if b := render(t, matrix["some must stay"]).budget.Spec; b.MinAvailable.IntValue() != 1 || b.MaxUnavailable != nil || *b.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
		t.Errorf("the budget is %+v", b)
	}
	if b := render(t, matrix["a share must stay"]).budget.Spec; b.MinAvailable.StrVal != "50%" {
		t.Errorf("the budget is %+v", b)
	}
	if render(t, matrix["no disruption budget"]).budget != nil {
		t.Error("a budget that nobody asked for")
	}
}

// Only one replica may drain at a time during an update.
func TestReplicasLeaveOneAfterTheOther(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r release) {
		d := r.deployment.Spec
		if d.ProgressDeadlineSeconds == nil || *d.ProgressDeadlineSeconds <= d.MinReadySeconds {
			t.Errorf("progress deadline %v, min ready %d: the API server refuses that", d.ProgressDeadlineSeconds, d.MinReadySeconds)
		}
	})
	for values, want := range map[string]int32{"": 30, matrix["a slow drain"]: 335, matrix["a short pause"]: 0} {
		if got := render(t, values).deployment.Spec.MinReadySeconds; got != want {
			t.Errorf("%q: a new replica waits %d s, want %d", values, got, want)
		}
	}
}

func TestReplicasAreKeptApart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r release) {
		for _, c := range r.deployment.Spec.Template.Spec.TopologySpreadConstraints {
			if diff := cmp.Diff(r.deployment.Spec.Selector, c.LabelSelector); diff != "" {
				t.Errorf("%s counts other pods (-selector +counted):\n%s", c.TopologyKey, diff)
			}
		}
	})
	for name, want := range map[string]int{"the defaults": 2, "placed": 1, "placed nowhere": 0} {
		if got := render(t, matrix[name]).deployment.Spec.Template.Spec.TopologySpreadConstraints; len(got) != want {
			t.Errorf("%s: %d constraints, want %d", name, len(got), want)
		}
	}
}

func TestConstraintsCountWhatTheySay(t *testing.T) {
	t.Parallel()
	r := render(t, "topologySpreadConstraints: [{topologyKey: rack, maxSkew: 2, whenUnsatisfiable: DoNotSchedule, minDomains: 3, labelSelector: {matchLabels: {a: b}}}, {topologyKey: zone, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway}]")
	want := []corev1.TopologySpreadConstraint{{
		TopologyKey: "rack", MaxSkew: 2, WhenUnsatisfiable: corev1.DoNotSchedule, MinDomains: new(int32(3)),
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
	}, {
		TopologyKey: "zone", MaxSkew: 1, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: r.deployment.Spec.Selector,
	}}
	if diff := cmp.Diff(want, r.deployment.Spec.Template.Spec.TopologySpreadConstraints); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestChangedSecretsMakeNewReplicas(t *testing.T) {
	t.Parallel()
	before := render(t, "").deployment.Spec.Template
	after := render(t, matrix["a secret has changed"]).deployment.Spec.Template
	if cmp.Equal(before, after) {
		t.Error("secrets.revision changes nothing in the pods, so none would be made anew")
	}
	if env := environment(render(t, matrix["a key set in a Secret"]).deployment.Spec.Template); env["ROOMSPA_JWKS"].Value != "/etc/roomspa/jwks" {
		t.Errorf("the key set is expected in %q", env["ROOMSPA_JWKS"].Value)
	}
}
