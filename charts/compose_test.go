package charts

import (
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// loadCompose parses the Compose file of the examples as Docker Compose does.
func loadCompose(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"testdata/compose.yaml"}, cli.WithEnv(env))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

// TestCompose requires that the Compose file is valid, and that what it sets exists and fits together.
func TestCompose(t *testing.T) {
	t.Parallel()
	project, err := loadCompose(t, "ROOMSPA_JWT_SECRET=0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	replica, known := project.Services["roomspa"], map[string]bool{}
	for _, o := range readOptions(t) {
		known[o.env()] = true
	}
	for name := range replica.Environment {
		if !known[name] {
			t.Errorf("%s is no option of roomspa serve", name)
		}
	}
	chart, err := loader.LoadDir("roomspa")
	if err != nil {
		t.Fatal(err)
	}
	if want := "roomspa:" + chart.Metadata.AppVersion; replica.Image != want {
		t.Errorf("the image is %s, want %s", replica.Image, want)
	}
	const phases = 30 * time.Second // of a shutdown, by default
	if grace := time.Duration(*replica.StopGracePeriod); grace <= phases {
		t.Errorf("a replica is killed after %v, before it has shut down", grace)
	}
	if d := replica.DependsOn["migrate"]; d.Condition != types.ServiceConditionCompletedSuccessfully {
		t.Errorf("a replica starts when the migration is %q", d.Condition)
	}
	if net := project.Networks["front"].Ipam.Config[0].Subnet; *replica.Environment["ROOMSPA_TRUSTED_PROXIES"] != net {
		t.Errorf("nginx is in %s, and replicas trust %s", net, *replica.Environment["ROOMSPA_TRUSTED_PROXIES"])
	}
	nginx := project.Configs["nginx"].Content
	for _, line := range []string{"proxy_set_header Upgrade $http_upgrade;", "proxy_read_timeout 1h;", "error_log /dev/stderr emerg;"} {
		if !strings.Contains(nginx, line) {
			t.Errorf("the configuration of nginx lacks %q:\n%s", line, nginx)
		}
	}
}

// TestComposeNeedsASecret requires that nobody runs it with a secret that others know.
func TestComposeNeedsASecret(t *testing.T) {
	t.Parallel()
	if _, err := loadCompose(t); err == nil || !strings.Contains(err.Error(), "ROOMSPA_JWT_SECRET") {
		t.Errorf("without a secret it loads: %v", err)
	}
}
