package charts

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Ingress and route lead to the public port of ready replicas.
func TestWaysInLeadToTheService(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r release) {
		if r.ingress != nil {
			for _, rule := range r.ingress.Spec.Rules {
				backend := rule.HTTP.Paths[0].Backend.Service
				if s := r.services[backend.Name]; s == nil || s.Name != "demo-roomspa" || backend.Port.Name != s.Spec.Ports[0].Name {
					t.Errorf("the ingress leads %q to %+v", rule.Host, backend)
				}
			}
		}
		if r.route != nil {
			for _, rule := range r.route.Spec.Rules {
				ref := rule.BackendRefs[0]
				if ref.Name != "demo-roomspa" || ref.Port == nil || *ref.Port != r.services["demo-roomspa"].Spec.Ports[0].Port {
					t.Errorf("the route leads to %+v", ref)
				}
			}
		}
	})
}

func TestIngress(t *testing.T) {
	t.Parallel()
	r := render(t, matrix["an ingress"])
	if r.ingress == nil || r.ingress.Spec.IngressClassName == nil || *r.ingress.Spec.IngressClassName != "traefik" {
		t.Fatalf("ingress %+v, want one of class traefik", r.ingress)
	}
	var hosts []string
	for _, rule := range r.ingress.Spec.Rules {
		hosts = append(hosts, rule.Host)
	}
	want := []string{"a.example.com", "b.example.com"}
	if diff := cmp.Diff(want, hosts); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]networkingv1.IngressTLS{{Hosts: want, SecretName: "cert"}}, r.ingress.Spec.TLS); diff != "" {
		t.Errorf("certificates (-want +got):\n%s", diff)
	}
	if any := render(t, matrix["an ingress for any host"]).ingress; len(any.Spec.Rules) != 1 || any.Spec.Rules[0].Host != "" {
		t.Errorf("without hosts the rules are %+v, want one for all", any.Spec.Rules)
	}
}

func TestRoute(t *testing.T) {
	t.Parallel()
	r := render(t, matrix["a route"]).route
	if p := r.Spec.ParentRefs; len(p) != 1 || p[0].Name != "public" || *p[0].Namespace != "gateways" || *p[0].SectionName != "https" {
		t.Errorf("parents %+v", p)
	}
	// GKE refuses routes with timeouts.
	if r.Spec.Rules[0].Timeouts != nil {
		t.Errorf("time-outs %+v, want none unless asked", r.Spec.Rules[0].Timeouts)
	}
	if got := render(t, matrix["a route with time-outs"]).route.Spec.Rules[0].Timeouts; got == nil || *got.Request != "0s" || *got.BackendRequest != "0s" {
		t.Errorf("time-outs %+v, want those asked for", got)
	}
}

func TestBothWaysAndNone(t *testing.T) {
	t.Parallel()
	if r := render(t, matrix["both ways in"]); r.ingress == nil || r.route == nil {
		t.Error("not both ways in")
	}
	if r := render(t, ""); r.ingress != nil || r.route != nil {
		t.Error("a way in that nobody asked for")
	}
}

func TestTheUnreadyCanBeAsked(t *testing.T) {
	t.Parallel()
	if s := render(t, matrix["unready ones reachable"]).services["demo-roomspa-unready"]; s == nil || !s.Spec.PublishNotReadyAddresses {
		t.Errorf("service %+v, want one with the unready replicas", s)
	}
	if s := render(t, "").services["demo-roomspa-unready"]; s != nil {
		t.Error("the unready replicas can be reached, and nobody asked")
	}
}

func selects(t *testing.T, selector *metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(labels.Set(of))
}

func TestHelmTestGoesEachWay(t *testing.T) {
	t.Parallel()
	ways := func(values string) map[string]string {
		all := map[string]string{}
		for name, p := range render(t, values).tests {
			if name == "demo-roomspa-check" {
				continue
			}
			c := p.Spec.Containers[0]
			all[strings.TrimPrefix(name, "demo-roomspa-")] = strings.Join(c.Args, " ")
			if users := strings.Contains(values, "users:"); len(c.Env) != map[bool]int{true: 4}[users] {
				t.Errorf("%s: %s has %v", values, c.Name, c.Env)
			}
		}
		return all
	}
	const service, smoke = "diagnose http://demo-roomspa:8000", "connect --smoke http://demo-roomspa:8000"
	for values, want := range map[string]map[string]string{
		"":                                {"diagnose-service": service},
		matrix["test users"]:              {"diagnose-service": service, "message": smoke, "diagnose-outside": "diagnose https://chat.example.com"},
		matrix["a URL to test"]:           {"diagnose-service": service, "diagnose-outside": "diagnose https://chat.example.com"},
		matrix["a URL and an ingress"]:    {"diagnose-service": service, "diagnose-outside": "diagnose https://chat.example.com"},
		matrix["no test from outside"]:    {"diagnose-service": service},
		matrix["an ingress"]:              {"diagnose-service": service, "diagnose-ingress": "diagnose https://a.example.com"},
		matrix["an ingress for any host"]: {"diagnose-service": service},
		matrix["a route for a domain"]:    {"diagnose-service": service},
		matrix["hosts of both ways in"]:   {"diagnose-service": service, "diagnose-ingress": "diagnose http://a.example.com", "diagnose-route": "diagnose https://b.example.com"},
	} {
		if diff := cmp.Diff(want, ways(values)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", values, diff)
		}
	}
	if got := render(t, "").tests["demo-roomspa-check"].Spec.Containers[0].Args; !slices.Equal(got, []string{"check"}) {
		t.Errorf("the check runs %v", got)
	}
}

// helm test --logs reads logs after all tests, and Helm 3 only from pods with one
// container. A deleted pod or a second container makes the test fail.
func TestHelmTestKeepsItsLogs(t *testing.T) {
	t.Parallel()
	for name, p := range render(t, matrix["test users"]).tests {
		if got := p.Annotations["helm.sh/hook-delete-policy"]; got != "before-hook-creation" || len(p.Spec.Containers) != 1 {
			t.Errorf("%s is deleted %q and has %d containers, want before the next test, and one", name, got, len(p.Spec.Containers))
		}
	}
}
