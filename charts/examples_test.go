package charts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// example returns a file of the directory examples.
func example(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func ingressPaths(i *networkingv1.Ingress) (paths []string) {
	for _, rule := range i.Spec.Rules {
		for _, p := range rule.HTTP.Paths {
			paths = append(paths, rule.Host+" "+string(*p.PathType)+" "+p.Path+" "+p.Backend.Service.Name)
		}
	}
	return paths
}

func routePaths(r *gatewayv1.HTTPRoute) (paths []string) {
	for _, host := range r.Spec.Hostnames {
		for _, m := range r.Spec.Rules[0].Matches {
			paths = append(paths, string(host)+" "+string(*m.Path.Type)+" "+*m.Path.Value+" "+string(r.Spec.Rules[0].BackendRefs[0].Name))
		}
	}
	return paths
}

// With a shared host, roomspa gets its two paths and leaves host, certificate and all other
// paths to the backend that has them.
func TestPathSplit(t *testing.T) {
	t.Parallel()
	nginx := renderAs(t, named("roomspa", "roomspa"), example(t, "examples/path-split-ingress-nginx.yaml"))
	gateway := renderAs(t, named("roomspa", "roomspa"), example(t, "examples/path-split-gateway.yaml"))
	wantIngress := []string{"api.example.com Prefix /ws/ roomspa", "api.example.com Prefix /chat/ roomspa"}
	wantRoute := []string{"api.example.com PathPrefix /ws/ roomspa", "api.example.com PathPrefix /chat/ roomspa"}
	if diff := cmp.Diff(wantIngress, ingressPaths(nginx.ingress)); diff != "" {
		t.Errorf("the ingress (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantRoute, routePaths(gateway.route)); diff != "" {
		t.Errorf("the route (-want +got):\n%s", diff)
	}
	if nginx.ingress.Spec.TLS != nil || nginx.ingress.Spec.DefaultBackend != nil {
		t.Errorf("the ingress takes the host over: %+v", nginx.ingress.Spec)
	}
	for key := range nginx.ingress.Annotations {
		if strings.Contains(key, "cert-manager") || strings.Contains(key, "acme") || strings.Contains(key, "external-dns") {
			t.Errorf("the ingress has the annotation %s, which changes what the host is", key)
		}
	}
	for name, r := range map[string]release{"nginx": nginx, "gateway": gateway} {
		if got := environment(r.deployment.Spec.Template)["ROOMSPA_CLASSIC_CLIENTS"].Value; got != "true" {
			t.Errorf("%s: ROOMSPA_CLASSIC_CLIENTS is %q", name, got)
		}
	}
	for _, url := range []string{"diagnose-outside", "diagnose-route"} {
		for _, r := range []release{nginx, gateway} {
			if p := r.tests["roomspa-"+url]; p != nil && !slices.Contains(p.Spec.Containers[0].Args, "https://api.example.com") {
				t.Errorf("helm test asks %v", p.Spec.Containers[0].Args)
			}
		}
	}
	for folder, want := range map[string][]string{"path-split-ingress": wantIngress, "path-split-gateway": wantRoute} {
		all := build(t, "overlays/"+folder)
		var got []string
		if _, ok := all["Ingress roomspa"]; ok {
			got = ingressPaths(as[networkingv1.Ingress](t, all, "Ingress roomspa"))
		} else {
			got = routePaths(as[gatewayv1.HTTPRoute](t, all, "HTTPRoute roomspa"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("overlay %s (-want +got):\n%s", folder, diff)
		}
		if env := environment(as[appsv1.Deployment](t, all, "Deployment roomspa").Spec.Template); env["ROOMSPA_CLASSIC_CLIENTS"].Value != "true" {
			t.Errorf("overlay %s does not serve the apps of the predecessor", folder)
		}
	}
	if paths := ingressPaths(render(t, matrix["an ingress for any host"]).ingress); len(paths) != 1 || paths[0] != " Prefix / demo-roomspa" {
		t.Errorf("by default the ingress has the paths %q", paths)
	}
}

// Every example renders, and one that names an nginx keeps tokens out of both of its logs.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text := example(t, file)
		render(t, text)
		if !strings.Contains(text, "className: nginx") {
			continue
		}
		if !strings.Contains(text, "error-log-level: emerg") || !strings.Contains(text, `enable-access-log: "false"`) || strings.Contains(text, "$request ") || strings.Contains(text, "$request_uri") {
			t.Errorf("%s would write tokens into a log of nginx", file)
		}
	}
}

// TestIngressExamples requires of the examples for each ingress that a silent socket outlives the pings, that the client's
// address is known, and that traffic for the host has a certificate.
func TestIngressExamples(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]struct {
		class, key string // an annotation without which sockets are cut
		waits      bool   // for a load balancer that learns late that a pod is unready
	}{
		"ingress-nginx":   {"nginx", "nginx.ingress.kubernetes.io/proxy-read-timeout", false},
		"ingress-traefik": {"traefik", "", false},
		"ingress-haproxy": {"haproxy", "haproxy.org/timeout-tunnel", false},
		"ingress-aws-alb": {"alb", "alb.ingress.kubernetes.io/load-balancer-attributes", true},
		"gateway-gke":     {"", "", true},
	} {
		r := renderAs(t, named("roomspa", "roomspa"), example(t, "examples/"+file+".yaml"))
		env := environment(r.deployment.Spec.Template)
		if env["ROOMSPA_TRUSTED_PROXIES"].Value == "" {
			t.Errorf("%s: the ingress is not trusted, so every client has its address", file)
		}
		if got := env["ROOMSPA_SHUTDOWN_WAIT"].Value; want.waits && got != "15s" {
			t.Errorf("%s: a replica drains after %q, before the load balancer knows it", file, got)
		}
		if want.class == "" {
			if r.route == nil || r.ingress != nil || len(r.route.Spec.Hostnames) != 1 || r.route.Spec.Rules[0].Timeouts != nil {
				t.Errorf("%s: the route is %+v", file, r.route)
			}
			continue
		}
		if r.ingress == nil || *r.ingress.Spec.IngressClassName != want.class || len(ingressPaths(r.ingress)) != 1 {
			t.Fatalf("%s: the ingress is %+v", file, r.ingress)
		}
		if want.key != "" && r.ingress.Annotations[want.key] == "" {
			t.Errorf("%s: the annotation %s is missing", file, want.key)
		}
		if r.ingress.Spec.TLS == nil && r.ingress.Annotations["alb.ingress.kubernetes.io/certificate-arn"] == "" {
			t.Errorf("%s: the host has no certificate", file)
		}
		for name, p := range r.tests {
			if strings.HasSuffix(name, "-outside") && !slices.Contains(p.Spec.Containers[0].Args, "https://chat.example.com") {
				t.Errorf("%s: helm test asks %v", file, p.Spec.Containers[0].Args)
			}
		}
	}
}
