package charts

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestServicesReachReplicasOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r release) {
		pods := r.pods()
		c := pods["deployment"].Spec.Containers[0]
		want := map[string]int32{"demo-roomspa": 8000, "demo-roomspa-ops": 9090}
		if r.services["demo-roomspa-unready"] != nil {
			want["demo-roomspa-unready"] = 8000
		}
		for name, want := range want {
			s := r.services[name]
			if s == nil || len(s.Spec.Ports) != 1 {
				t.Fatalf("service %s: %+v, want one with one port", name, s)
			}
			p := s.Spec.Ports[0]
			if p.Port != want || port(c, p.TargetPort) != want || p.AppProtocol == nil || *p.AppProtocol != "http" && (name == "demo-roomspa-ops" || *p.AppProtocol != "kubernetes.io/ws") {
				t.Errorf("service %s: port %+v, want http on %d", name, p, want)
			}
			ops, unready := want == 9090, strings.HasSuffix(name, "-unready")
			if s.Spec.PublishNotReadyAddresses != (ops || unready) || (s.Spec.ClusterIP == corev1.ClusterIPNone) != ops {
				t.Errorf("service %s: headless %q, with unready replicas %v", name, s.Spec.ClusterIP, s.Spec.PublishNotReadyAddresses)
			}
			for kind, pod := range pods {
				got := labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels))
				if want := kind == "deployment"; got != want {
					t.Errorf("service %s selects the pods of the %s: %v, want %v", name, kind, got, want)
				}
			}
		}
		selector := r.deployment.Spec.Selector.MatchLabels
		for kind, pod := range pods {
			got := labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels))
			if want := kind == "deployment"; got != want {
				t.Errorf("the deployment selects the pods of the %s: %v, want %v", kind, got, want)
			}
		}
	})
}

func TestServiceOfAnotherType(t *testing.T) {
	t.Parallel()
	r := render(t, matrix["a load balancer"])
	s := r.services["demo-roomspa"].Spec
	if s.Type != corev1.ServiceTypeLoadBalancer || *s.LoadBalancerClass != "internal" || s.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal || s.Ports[0].NodePort != 30080 {
		t.Errorf("the Service is %+v", s)
	}
	for _, name := range []string{"demo-roomspa-ops", "demo-roomspa-unready"} {
		if s := r.services[name].Spec; s.Type != "" || s.Ports[0].NodePort != 0 {
			t.Errorf("%s is exposed: %+v", name, s)
		}
	}
}

func TestServiceAccount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r release) {
		name := r.deployment.Spec.Template.Spec.ServiceAccountName
		if made := r.serviceAccount != nil; made == (name == "shared") || (made && r.serviceAccount.Name != name) {
			t.Errorf("replicas use %q, the chart makes %+v", name, r.serviceAccount)
		}
		// A hook runs before the chart's objects exist.
		if r.job != nil && r.serviceAccount != nil && r.job.Spec.Template.Spec.ServiceAccountName != "" {
			t.Errorf("the hook uses %q, which is not there yet", r.job.Spec.Template.Spec.ServiceAccountName)
		}
	})
}

// port resolves a port by number or name, as Kubernetes does.
func port(c corev1.Container, p intstr.IntOrString) int32 {
	for _, have := range c.Ports {
		if p.StrVal == have.Name {
			return have.ContainerPort
		}
	}
	return p.IntVal
}
