package charts

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// plain lists the directories of k8s that are rendered from the chart, with the values (or
// the file of them) and the templates of each.
var plain = []struct {
	folder, values string
	templates      []string
}{
	{"base", "", []string{"deployment", "migrate", "poddisruptionbudget", "service", "service-ops", "serviceaccount"}},
	{"components/network-policy", "networkPolicy: {enabled: true}", []string{"networkpolicy", "networkpolicy-migrate"}},
	{"components/monitoring", "{metrics: {scrape: podMonitor}, alerts: {enabled: true}, dashboard: {enabled: true}}", []string{"dashboard", "podmonitor", "prometheusrule"}},
	{"components/path-split-ingress", "examples/path-split-ingress-nginx.yaml", []string{"ingress"}},
	{"components/path-split-gateway", "examples/path-split-gateway.yaml", []string{"httproute"}},
}

// Not in parallel: with -update it writes files that other tests read.
func TestPlainManifestsAreTheCharts(t *testing.T) {
	as := install
	as.Name, as.Namespace = "roomspa", "roomspa"
	for _, p := range plain {
		values := p.values
		if strings.HasPrefix(values, "examples/") {
			values = example(t, values)
		}
		files, err := templatesAs(as, values)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range p.templates {
			file := path.Join("testdata/k8s", p.folder, name+".yaml")
			want := withoutHelm(files["roomspa/templates/"+name+".yaml"])
			if *update {
				if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("k8s/%s/%s.yaml is not what the chart renders (-want +got); run `go test . -update`:\n%s", p.folder, name, diff)
			}
		}
	}
}

var ofHelm = regexp.MustCompile(`(?m)^ *(helm\.sh/\S+|app\.kubernetes\.io/managed-by): .*\n|^  namespace: .*\n`)

// withoutHelm removes the labels and annotations of Helm, and the namespace.
func withoutHelm(text string) string {
	lines := strings.Split(strings.TrimSpace(ofHelm.ReplaceAllString(text, ""))+"\n", "\n")
	var kept []string
	for i, line := range lines {
		// A map that has become empty.
		if strings.HasSuffix(line, "annotations:") && (i+1 == len(lines) || indent(lines[i+1]) <= indent(line)) {
			continue
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n")
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// build does what `kubectl kustomize` does. It reads the files itself, so that go test
// notices changes and does not use a cached result.
func build(t *testing.T, folder string) map[string]string {
	t.Helper()
	disk, memory := os.DirFS("testdata/k8s"), filesys.MakeFsInMemory()
	err := fs.WalkDir(disk, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join("testdata/k8s", file))
		if err != nil {
			return err
		}
		return memory.WriteFile("/k8s/"+file, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(memory, "/k8s/"+folder)
	if err != nil {
		t.Fatalf("build %s: %v", folder, err)
	}
	all := map[string]string{}
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		all[r.GetKind()+" "+r.GetName()] = string(text)
	}
	return all
}

func as[T any](t *testing.T, all map[string]string, name string) *T {
	t.Helper()
	text, ok := all[name]
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	var object T
	if err := yaml.UnmarshalStrict([]byte(text), &object); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	return &object
}

func TestOverlaysBuild(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(*testing.T, map[string]string, string){
		"Deployment":     func(t *testing.T, a map[string]string, n string) { t.Helper(); as[appsv1.Deployment](t, a, n) },
		"Job":            func(t *testing.T, a map[string]string, n string) { t.Helper(); as[batchv1.Job](t, a, n) },
		"Service":        func(t *testing.T, a map[string]string, n string) { t.Helper(); as[corev1.Service](t, a, n) },
		"ServiceAccount": func(t *testing.T, a map[string]string, n string) { t.Helper(); as[corev1.ServiceAccount](t, a, n) },
		"Secret":         func(t *testing.T, a map[string]string, n string) { t.Helper(); as[corev1.Secret](t, a, n) },
		"Ingress":        func(t *testing.T, a map[string]string, n string) { t.Helper(); as[networkingv1.Ingress](t, a, n) },
		"NetworkPolicy":  func(t *testing.T, a map[string]string, n string) { t.Helper(); as[networkingv1.NetworkPolicy](t, a, n) },
		"HTTPRoute":      func(t *testing.T, a map[string]string, n string) { t.Helper(); as[gatewayv1.HTTPRoute](t, a, n) },
		"PodDisruptionBudget": func(t *testing.T, a map[string]string, n string) {
			t.Helper()
			as[policyv1.PodDisruptionBudget](t, a, n)
		},
	}
	for folder, objects := range map[string]int{"base": 6, "overlays/dev": 11, "overlays/dev/app": 6, "overlays/dev/stores": 5, "overlays/production": 9, "overlays/path-split-ingress": 7, "overlays/path-split-gateway": 7} {
		all := build(t, folder)
		if len(all) != objects {
			t.Errorf("%s builds %d objects, want %d", folder, len(all), objects)
		}
		for name := range all {
			kind, _, _ := strings.Cut(name, " ")
			decode, known := kinds[kind]
			if !known {
				t.Errorf("%s: unexpected %s", folder, name)
				continue
			}
			decode(t, all, name)
		}
	}
}

// The development overlay has each Secret that its pods use, and all pods meet the
// restricted standard.
func TestDevelopmentOverlayIsComplete(t *testing.T) {
	t.Parallel()
	all := build(t, "overlays/dev")
	secret := as[corev1.Secret](t, all, "Secret roomspa")
	pods := map[string]corev1.PodSpec{"migrate": as[batchv1.Job](t, all, "Job roomspa-migrate").Spec.Template.Spec}
	for _, name := range []string{"roomspa", "postgres", "redis"} {
		pods[name] = as[appsv1.Deployment](t, all, "Deployment "+name).Spec.Template.Spec
	}
	for name, pod := range pods {
		if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || s.SeccompProfile == nil {
			t.Errorf("%s: security context %+v", name, s)
		}
		for _, v := range pod.Volumes {
			for i := 0; v.Secret != nil && i < len(v.Secret.Items); i++ {
				if v.Secret.SecretName != secret.Name || secret.Data[v.Secret.Items[i].Key] == nil {
					t.Errorf("%s: the volume %s is of no Secret of the overlay", name, v.Name)
				}
			}
		}
		for _, c := range pod.Containers {
			s := c.SecurityContext
			if s == nil || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("%s: container's security context %+v", name, s)
			}
			for _, v := range c.Env {
				if v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil {
					continue
				}
				if ref := v.ValueFrom.SecretKeyRef; ref.Name != secret.Name || secret.Data[ref.Key] == nil {
					t.Errorf("%s: %s is in no Secret of the overlay", name, v.Name)
				}
			}
		}
	}
	for _, service := range []string{"postgres", "redis"} {
		s := as[corev1.Service](t, all, "Service "+service)
		if labels := as[appsv1.Deployment](t, all, "Deployment "+service).Spec.Template.Labels; labels["app.kubernetes.io/name"] != s.Spec.Selector["app.kubernetes.io/name"] {
			t.Errorf("service %s selects %v, its pods have %v", service, s.Spec.Selector, labels)
		}
		if !strings.Contains(string(secret.Data["database-url"])+string(secret.Data["redis-url"]), service+":") {
			t.Errorf("no URL leads to the service %s", service)
		}
	}
}

func TestProductionOverlay(t *testing.T) {
	t.Parallel()
	all := build(t, "overlays/production")
	d := as[appsv1.Deployment](t, all, "Deployment roomspa")
	if *d.Spec.Replicas != 4 || d.Namespace != "roomspa" {
		t.Errorf("%d replicas in namespace %q", *d.Spec.Replicas, d.Namespace)
	}
	job := as[batchv1.Job](t, all, "Job roomspa-migrate")
	if a, b := d.Spec.Template.Spec.Containers[0].Image, job.Spec.Template.Spec.Containers[0].Image; a != b || a != "registry.example.com/roomspa:0.1.0" {
		t.Errorf("replicas run %s, the migration %s", a, b)
	}
	backend := as[networkingv1.Ingress](t, all, "Ingress roomspa").Spec.Rules[0].HTTP.Paths[0].Backend.Service
	if s := as[corev1.Service](t, all, "Service "+backend.Name); s.Spec.Ports[0].Name != backend.Port.Name {
		t.Errorf("the ingress leads to %+v", backend)
	}
	options, known := readOptions(t), map[string]option{}
	for _, o := range options {
		known[o.env()] = o
		known[o.env()+"_FILE"] = option{kind: "string"}
	}
	for _, v := range d.Spec.Template.Spec.Containers[0].Env {
		if o, ok := known[v.Name]; !ok || v.ValueFrom == nil && !o.takes(v.Value) {
			t.Errorf("%s=%s is no option", v.Name, v.Value)
		}
	}
}
