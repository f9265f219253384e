package api_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/api"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestEveryRouteIsAPath reads the routes from the code.
func TestEveryRouteIsAPath(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("routes.go")
	if err != nil {
		t.Fatal(err)
	}
	routes := regexp.MustCompile(`(?:case |path == |HasPrefix\(path, )"(/[^"]*)"`).FindAllStringSubmatch(string(text), -1)
	if len(routes) < 9 {
		t.Fatalf("routes.go has the routes %q: the test looks in the wrong place", routes)
	}
	for _, m := range routes {
		route := strings.TrimSuffix(m[1], "/") + "/"
		if !slices.ContainsFunc(api.Paths, func(path string) bool { return strings.HasPrefix(path, route) }) {
			t.Errorf("%s is a route, and Paths in paths.go does not have it", m[1])
		}
	}
}

// TestEveryEndpointIsInTheDocuments looks for the paths of WebSocket endpoints, which the answer to an unknown path lists.
func TestEveryEndpointIsInTheDocuments(t *testing.T) {
	t.Parallel()
	_, body := world.New(t).Ready(t, "a").Request(t, "GET", "/nowhere/", "", "")
	var answer struct{ Paths []string }
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for name, form := range map[string]string{"asyncapi.yaml": "address: %\n", "protocol.md": "| `GET %` |"} {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, path := range answer.Paths {
			if !strings.HasPrefix(path, "/ws/") {
				continue
			}
			found++
			if row := strings.ReplaceAll(form, "%", path); !strings.Contains(string(text), row) {
				t.Errorf("docs/%s does not have %q", name, row)
			}
		}
		if found < 4 {
			t.Errorf("the replica has the paths %q", answer.Paths)
		}
	}
}
