package charts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestMigrationsRunBeforeReplicas(t *testing.T) {
	t.Parallel()
	r := render(t, "")
	if r.job == nil {
		t.Fatal("no migration job")
	}
	want := map[string]string{
		"helm.sh/hook":               "pre-install,pre-upgrade",
		"helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
	}
	if diff := cmp.Diff(want, r.job.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	pod := r.job.Spec.Template.Spec
	if diff := cmp.Diff([]string{"migrate", "up"}, pod.Containers[0].Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if pod.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("restart policy %s, want Never", pod.RestartPolicy)
	}
	// 300 s is the default of helm's --timeout.
	if d := r.job.Spec.ActiveDeadlineSeconds; d == nil || *d >= 300 {
		t.Errorf("the job may take %v s, longer than helm waits", d)
	}
	if got, want := pod.Containers[0].Image, r.deployment.Spec.Template.Spec.Containers[0].Image; got != want {
		t.Errorf("the job runs %s, replicas run %s", got, want)
	}
}

func TestMigrationsKnowThePooler(t *testing.T) {
	t.Parallel()
	r := render(t, "options: {database-pooler: pgbouncer}")
	if got := environment(r.job.Spec.Template)["ROOMSPA_DATABASE_POOLER"].Value; got != "pgbouncer" {
		t.Errorf("ROOMSPA_DATABASE_POOLER is %q, want pgbouncer", got)
	}
}

func TestMigrationsCanBeOff(t *testing.T) {
	t.Parallel()
	if r := render(t, matrix["no migrations"]); r.job != nil {
		t.Errorf("there is a job all the same: %s", r.job.Name)
	}
}
