package charts

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	wantPod := &corev1.PodSecurityContext{
		RunAsNonRoot:   new(true),
		RunAsUser:      new(int64(65532)), // unless the values take it away
		RunAsGroup:     new(int64(65532)),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	wantContainer := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	each(t, func(t *testing.T, r release) {
		for kind, pod := range r.pods() {
			want := wantPod.DeepCopy()
			if r.anyUser {
				want.RunAsUser = nil
			}
			if diff := cmp.Diff(want, pod.Spec.SecurityContext); diff != "" {
				t.Errorf("%s: pod (-want +got):\n%s", kind, diff)
			}
			if len(pod.Spec.InitContainers) > 0 {
				t.Errorf("%s: has init containers, which nobody looks at here", kind)
			}
			for _, c := range pod.Spec.Containers {
				if diff := cmp.Diff(wantContainer, c.SecurityContext); diff != "" {
					t.Errorf("%s: container %s (-want +got):\n%s", kind, c.Name, diff)
				}
				if c.Lifecycle != nil {
					t.Errorf("%s: container %s has a hook: the replica itself waits when it leaves", kind, c.Name)
				}
				for _, m := range c.VolumeMounts {
					if m.Name == "roomspa" && (!m.ReadOnly || m.SubPath != "") {
						t.Errorf("%s: %s is mounted writable, or as one file that never changes", kind, m.Name)
					}
				}
			}
			if m := pod.Spec.AutomountServiceAccountToken; m == nil || *m && (kind != "deployment" || !r.token) {
				t.Errorf("%s: a service account token is mounted", kind)
			}
			if l := pod.Spec.EnableServiceLinks; l == nil || *l {
				t.Errorf("%s: variables of Services can be taken for options", kind)
			}
			if pod.Spec.HostNetwork || pod.Spec.HostPID || pod.Spec.HostIPC {
				t.Errorf("%s: shares something with its node", kind)
			}
			for _, v := range pod.Spec.Volumes {
				if v.Name == "roomspa" && v.Projected == nil {
					t.Errorf("%s: volume %s is none of Secrets", kind, v.Name)
				}
			}
		}
	})
}

func TestSecretsAreReferences(t *testing.T) {
	t.Parallel()
	options := readOptions(t)
	each(t, func(t *testing.T, r release) {
		for kind, pod := range r.pods() {
			env := environment(pod)
			for _, o := range options {
				v, set := env[o.env()]
				if o.secret && set && (v.Value != "" || v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil) {
					t.Errorf("%s: %s does not come from a Secret", kind, v.Name)
				}
				file, inFile := env[o.env()+"_FILE"]
				if o.required && !set && !inFile && kind != "job" && !isClient(pod) {
					t.Errorf("%s: %s is missing, and serve needs it", kind, o.env())
				}
				if inFile && mounted(pod.Spec)[file.Value] == "" && !strings.HasPrefix(file.Value, "/vault/") {
					t.Errorf("%s: no key of a Secret is at %q", kind, file.Value)
				}
			}
			if kind == "deployment" || kind == "demo-roomspa-check" {
				if got := env["ROOMSPA_JWT_SECRET_FILE"].Value; got == "" {
					t.Errorf("%s: no signing secret", kind)
				}
			}
		}
	})
}

// mounted returns the mounted keys of Secrets and ConfigMaps by path.
func mounted(pod corev1.PodSpec) map[string]string {
	files := map[string]string{}
	for _, m := range pod.Containers[0].VolumeMounts {
		for _, v := range pod.Volumes {
			if v.Name != m.Name || v.Projected == nil {
				continue
			}
			for _, source := range v.Projected.Sources {
				if s := source.Secret; s != nil {
					files[path.Join(m.MountPath, s.Items[0].Path)] = s.Name + "/" + s.Items[0].Key
				} else if c := source.ConfigMap; c != nil {
					files[path.Join(m.MountPath, c.Items[0].Path)] = "configMap " + c.Name + "/" + c.Items[0].Key
				}
			}
		}
	}
	return files
}

func TestSecretsAreTheNamedOnes(t *testing.T) {
	t.Parallel()
	r := render(t, matrix["secrets of an operator"])
	for kind, want := range map[string]map[string]string{
		"deployment": {"ROOMSPA_DATABASE_URL": "pg-app/uri", "ROOMSPA_REDIS_URL": "roomspa/redis-url", "ROOMSPA_JWT_SECRET": "tokens/hs256.txt"},
		"job":        {"ROOMSPA_DATABASE_URL": "pg-app/uri"},
	} {
		got, files := map[string]string{}, mounted(r.pods()[kind].Spec)
		for name, v := range environment(r.pods()[kind]) {
			if option, file := strings.CutSuffix(name, "_FILE"); file {
				got[option] = files[v.Value]
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}
