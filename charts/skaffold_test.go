package charts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// skaffoldConfig has the fields of Skaffold's schema (v4beta11) that skaffold.yaml uses.
type skaffoldConfig struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Requires []struct {
		Configs []string `json:"configs"`
	} `json:"requires"`
	Build struct {
		Artifacts []struct {
			Image   string `json:"image"`
			Context string `json:"context"`
			Docker  struct {
				Dockerfile string `json:"dockerfile"`
			} `json:"docker"`
		} `json:"artifacts"`
		Local struct {
			Push        bool `json:"push"`
			UseBuildkit bool `json:"useBuildkit"`
		} `json:"local"`
	} `json:"build"`
	Manifests skaffoldManifests `json:"manifests"`
	Deploy    skaffoldDeploy    `json:"deploy"`

	PortForward []struct {
		ResourceType string `json:"resourceType"`
		ResourceName string `json:"resourceName"`
		Port         int    `json:"port"`
		LocalPort    int    `json:"localPort"`
	} `json:"portForward"`
	Profiles []struct {
		Name    string         `json:"name"`
		Deploy  skaffoldDeploy `json:"deploy"`
		Patches []struct {
			Op   string `json:"op"`
			Path string `json:"path"`
		} `json:"patches"`
	} `json:"profiles"`
}

type skaffoldManifests struct {
	Kustomize struct {
		Paths []string `json:"paths"`
	} `json:"kustomize"`
}

type skaffoldDeploy struct {
	Kubectl *struct {
		Flags struct {
			Apply []string `json:"apply"`
		} `json:"flags"`
	} `json:"kubectl"`
	Helm struct {
		Releases []struct {
			Name              string            `json:"name"`
			ChartPath         string            `json:"chartPath"`
			ValuesFiles       []string          `json:"valuesFiles"`
			SetValueTemplates map[string]string `json:"setValueTemplates"`
		} `json:"releases"`
	} `json:"helm"`
}

func TestSkaffold(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/skaffold.yaml")
	if err != nil {
		t.Fatal(err)
	}
	configs := map[string]skaffoldConfig{}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var c skaffoldConfig
		if err := yaml.UnmarshalStrict([]byte(document), &c); err != nil {
			t.Fatal(err)
		}
		if c.APIVersion != "skaffold/v4beta11" || c.Kind != "Config" {
			t.Errorf("%s: %s %s", c.Metadata.Name, c.APIVersion, c.Kind)
		}
		for _, p := range c.Manifests.Kustomize.Paths {
			build(t, strings.TrimPrefix(p, "k8s/"))
		}
		configs[c.Metadata.Name] = c
	}
	c := configs["roomspa"]
	if _, ok := configs[c.Requires[0].Configs[0]]; !ok {
		t.Errorf("it requires %v, which is not there", c.Requires)
	}
	// Skaffold replaces only images of this name in the manifests.
	image, _, _ := strings.Cut(render(t, "").deployment.Spec.Template.Spec.Containers[0].Image, ":")
	artifact := c.Build.Artifacts[0]
	if artifact.Image != image {
		t.Errorf("it builds %s, the manifests run %s", artifact.Image, image)
	}
	if p := c.PortForward[0]; p.ResourceName != "roomspa" || p.Port != 8000 {
		t.Errorf("it forwards to %+v", p)
	}
	release := c.Profiles[0].Deploy.Helm.Releases[0]
	for _, file := range append(release.ValuesFiles, release.ChartPath+"/Chart.yaml", artifact.Docker.Dockerfile) {
		if _, err := os.Stat(filepath.Join("..", file)); err != nil {
			t.Error(err)
		}
	}
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(text[strings.LastIndex(string(text), "\n---\n"):]), &tree); err != nil {
		t.Fatal(err)
	}
	for _, patch := range c.Profiles[0].Patches {
		node := any(tree)
		for key := range strings.SplitSeq(strings.TrimPrefix(patch.Path, "/"), "/") {
			node = node.(map[string]any)[key]
		}
		if node == nil {
			t.Errorf("the profile takes away %s, which is not there", patch.Path)
		}
	}
	values, err := os.ReadFile("testdata/k8s/overlays/dev/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	render(t, string(values))
	if keys, err := json.Marshal(release.SetValueTemplates); err != nil || !strings.Contains(string(keys), "image.repository") || !strings.Contains(string(keys), "image.tag") {
		t.Errorf("the chart is told of the image by %s", keys)
	}
}
