package charts

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// onEveryPod has values that concern pods, and a check of the pod of each kind.
var onEveryPod = map[string]func(corev1.PodTemplateSpec) bool{
	"podLabels: {team: chat}":          func(p corev1.PodTemplateSpec) bool { return p.Labels["team"] == "chat" },
	"commonLabels: {team: chat}":       func(p corev1.PodTemplateSpec) bool { return p.Labels["team"] == "chat" },
	"podAnnotations: {mesh: 'off'}":    func(p corev1.PodTemplateSpec) bool { return p.Annotations["mesh"] == "off" },
	"commonAnnotations: {mesh: 'off'}": func(p corev1.PodTemplateSpec) bool { return p.Annotations["mesh"] == "off" },
	"nodeSelector: {disk: ssd}":        func(p corev1.PodTemplateSpec) bool { return p.Spec.NodeSelector["disk"] == "ssd" },
	"tolerations: [{key: a}]":          func(p corev1.PodTemplateSpec) bool { return p.Spec.Tolerations[0].Key == "a" },
	"priorityClassName: high":          func(p corev1.PodTemplateSpec) bool { return p.Spec.PriorityClassName == "high" },
	"serviceAccountName: own":          func(p corev1.PodTemplateSpec) bool { return p.Spec.ServiceAccountName == "own" },
	"affinity: {podAntiAffinity: {}}":  func(p corev1.PodTemplateSpec) bool { return p.Spec.Affinity.PodAntiAffinity != nil },
	"dnsConfig: {searches: [a]}":       func(p corev1.PodTemplateSpec) bool { return p.Spec.DNSConfig.Searches[0] == "a" },
	"{global: {imagePullSecrets: [{name: a}, b]}, image: {pullSecrets: [c]}}": func(p corev1.PodTemplateSpec) bool {
		return slices.Equal(p.Spec.ImagePullSecrets, []corev1.LocalObjectReference{{Name: "c"}, {Name: "a"}, {Name: "b"}})
	},
	"global: {imageRegistry: 'mirror:5000/hub/'}": func(p corev1.PodTemplateSpec) bool {
		return p.Spec.Containers[0].Image == "mirror:5000/hub/roomspa:0.1.0"
	},
	"{global: {imageRegistry: mirror}, image: {repository: quay.io/team/chat, tag: '2'}}": func(p corev1.PodTemplateSpec) bool {
		return p.Spec.Containers[0].Image == "mirror/team/chat:2"
	},
	"{global: {imageRegistry: mirror}, image: {repository: team/chat, tag: '2'}}": func(p corev1.PodTemplateSpec) bool {
		return p.Spec.Containers[0].Image == "mirror/team/chat:2"
	},
	"image: {pullSecrets: [registry]}": func(p corev1.PodTemplateSpec) bool { return p.Spec.ImagePullSecrets[0].Name == "registry" },
	"image: {pullPolicy: Always}":      func(p corev1.PodTemplateSpec) bool { return p.Spec.Containers[0].ImagePullPolicy == "Always" },
	"podSecurityContext: {fsGroup: 7}": func(p corev1.PodTemplateSpec) bool { return *p.Spec.SecurityContext.FSGroup == 7 },
	"podSecurityContext: {runAsUser: null, runAsGroup: ''}": func(p corev1.PodTemplateSpec) bool {
		return p.Spec.SecurityContext.RunAsUser == nil && p.Spec.SecurityContext.RunAsGroup == nil && *p.Spec.SecurityContext.RunAsNonRoot
	},
	"securityContext: {runAsUser: 7}": func(p corev1.PodTemplateSpec) bool {
		return *p.Spec.Containers[0].SecurityContext.RunAsUser == 7 && *p.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem
	},
	"extraEnv: [{name: HTTPS_PROXY, value: 'http://p'}]": func(p corev1.PodTemplateSpec) bool {
		return environment(p)["HTTPS_PROXY"].Value == "http://p"
	},
	"{extraVolumes: [{name: x, csi: {driver: d}}], extraVolumeMounts: [{name: x, mountPath: /x}]}": func(p corev1.PodTemplateSpec) bool {
		v, m := p.Spec.Volumes, p.Spec.Containers[0].VolumeMounts
		return v[len(v)-1].CSI.Driver == "d" && m[len(m)-1].MountPath == "/x"
	},
	"caCertificates: {secret: ca}": func(p corev1.PodTemplateSpec) bool {
		return mounted(p.Spec)[environment(p)["SSL_CERT_FILE"].Value] == "ca/ca.crt"
	},
	"caCertificates: {configMap: ca, key: bundle.pem}": func(p corev1.PodTemplateSpec) bool {
		return mounted(p.Spec)[environment(p)["SSL_CERT_FILE"].Value] == "configMap ca/bundle.pem"
	},
	"image: {digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}": func(p corev1.PodTemplateSpec) bool {
		return p.Spec.Containers[0].Image == "roomspa@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	},
}

// What can be set for replicas reaches the migration and the tests too.
func TestValuesReachEveryPod(t *testing.T) {
	t.Parallel()
	for values, holds := range onEveryPod {
		t.Run(values, func(t *testing.T) {
			t.Parallel()
			r := render(t, values)
			pods := r.pods()
			if kinds := slices.Sorted(maps.Keys(pods)); !slices.Equal(kinds, []string{"demo-roomspa-check", "demo-roomspa-diagnose-service", "deployment", "job"}) {
				t.Fatalf("pods of %v", kinds)
			}
			for kind, pod := range pods {
				if !holdsFor(pod, holds) {
					t.Errorf("not for the pods of %s", kind)
				}
			}
		})
	}
}

// holdsFor is false, too, if the pod lacks what the check looks into.
func holdsFor(pod corev1.PodTemplateSpec, holds func(corev1.PodTemplateSpec) bool) (ok bool) {
	defer func() { ok = recover() == nil && ok }()
	return holds(pod)
}

// The migration and the tests may differ from the replicas, for example to have no sidecar.
// The annotations of Helm stay.
func TestMigrationAndTestsHaveTheirOwnMetadata(t *testing.T) {
	t.Parallel()
	r := render(t, matrix["annotations of each kind of pod"])
	for kind, want := range map[string][2]string{"deployment": {"on", ""}, "job": {"off", "job"}, "demo-roomspa-check": {"test", "test"}, "demo-roomspa-diagnose-service": {"test", "test"}} {
		pod := r.pods()[kind]
		if got := [2]string{pod.Annotations["mesh"], pod.Labels["x"]}; got != want || pod.Annotations["a"] != "b" {
			t.Errorf("%s has annotations %v and labels %v, want %v", kind, pod.Annotations, pod.Labels, want)
		}
	}
	if r.job.Annotations["j"] != "k" || r.job.Annotations["helm.sh/hook"] == "" || r.tests["demo-roomspa-check"].Annotations["helm.sh/hook"] != "test" {
		t.Errorf("the Job has annotations %v, the check %v", r.job.Annotations, r.tests["demo-roomspa-check"].Annotations)
	}
	labels := render(t, "podLabels: {app.kubernetes.io/component: mine}").deployment
	if got := labels.Spec.Template.Labels["app.kubernetes.io/component"]; got != "server" {
		t.Errorf("a pod label replaced the selector's: %s", got)
	}
}

// Another way to bring a secret replaces the chart's, in every pod that reads it.
func TestSecretsCanComeAnotherWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values, pod string
		want        map[string]string // variable to value
	}{
		"files of an agent": {matrix["secrets from an agent"], "deployment", map[string]string{
			"ROOMSPA_DATABASE_URL_FILE": "/vault/db", "ROOMSPA_REDIS_URL_FILE": "/vault/redis",
			"ROOMSPA_JWT_SECRET_FILE": "/vault/jwt", "ROOMSPA_OPS_TOKEN_FILE": "/vault/ops",
		}},
		"the migration's":    {matrix["secrets from an agent"], "job", map[string]string{"ROOMSPA_DATABASE_URL_FILE": "/vault/db"}},
		"a URL of two parts": {"extraEnv: [{name: ROOMSPA_DATABASE_URL, value: 'postgres://a:$(PW)@pg/chat'}]", "job", map[string]string{"ROOMSPA_DATABASE_URL": "postgres://a:$(PW)@pg/chat"}},
		"keys with ids": {"secrets: {jwtKeys: {name: keys}}", "deployment", map[string]string{
			"ROOMSPA_DATABASE_URL_FILE": "/etc/roomspa/database-url", "ROOMSPA_REDIS_URL_FILE": "/etc/roomspa/redis-url",
			"ROOMSPA_JWT_KEYS_FILE": "/etc/roomspa/jwt-keys",
		}},
	} {
		got := map[string]string{}
		r := render(t, c.values)
		for variable, v := range environment(r.pods()[c.pod]) {
			for _, secret := range []string{"DATABASE_URL", "REDIS_URL", "JWT_SECRET", "JWT_KEYS", "OPS_TOKEN"} {
				if variable == "ROOMSPA_"+secret || variable == "ROOMSPA_"+secret+"_FILE" {
					got[variable] = v.Value
				}
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if files := mounted(render(t, matrix["secrets from an agent"]).deployment.Spec.Template.Spec); len(files) > 0 {
		t.Errorf("with files of an agent it mounts %v as well", files)
	}
}
