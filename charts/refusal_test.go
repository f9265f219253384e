package charts

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values string
		want   []string // what the message must name
	}{
		"an unknown key":                {"replicaCount: 3", []string{"replicaCount"}},
		"an unknown key further in":     {"image: {name: x}", []string{"/image", "name"}},
		"an unknown key of a secret":    {"secrets: {jwtSecret: {value: x}}", []string{"/secrets/jwtSecret", "value"}},
		"an unknown option":             {"options: {soft-limits: 5}", []string{"/options", "soft-limits"}},
		"a secret among the options":    {"options: {redis-url: 'redis://:x@h'}", []string{"/options", "redis-url"}},
		"an option the chart owns":      {"options: {drain-timeout: 60s}", []string{"/options", "drain-timeout"}},
		"a duration without unit":       {"options: {ping-interval: 25}", []string{"/options/ping-interval"}},
		"half a connection":             {"options: {database-max-connections: 7.5}", []string{"/options/database-max-connections"}},
		"a mode that does not exist":    {"options: {redis-mode: mesh}", []string{"/options/redis-mode", "sentinel"}},
		"a secret without a name":       {"secrets: {redisURL: {name: ''}}", []string{"/secrets/redisURL/name"}},
		"a missing value":               {"replicas: null", []string{"replicas"}},
		"no time to flush":              {"shutdown: {flushSeconds: 0}", []string{"/shutdown/flushSeconds"}},
		"a grace period as long":        {"shutdown: {gracePeriodSeconds: 30}", []string{"shutdown.gracePeriodSeconds is 30", "above 30", "shutdown.drainSeconds"}},
		"a grace period of none":        {"shutdown: {gracePeriodSeconds: 0}", []string{"shutdown.gracePeriodSeconds is 0"}},
		"a drain longer than the grace": {"shutdown: {drainSeconds: 600, gracePeriodSeconds: 120}", []string{"shutdown.gracePeriodSeconds is 120", "above 610"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := templates(c.values)
			if err == nil {
				t.Fatal("rendered, want a refusal")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the refusal does not say %q: %v", want, err)
				}
			}
		})
	}
}

// A schema refuses unknown keys object by object: one that forgets to, lets
// every misspelling below it pass.
func TestSchemaIsClosed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("roomspa/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	var walk func(where string, node any)
	walk = func(where string, node any) {
		object, ok := node.(map[string]any)
		if !ok {
			return
		}
		if object["type"] == "object" && object["additionalProperties"] != false && where != "/properties/global" {
			t.Errorf("%s takes any key", where)
		}
		for key, below := range object {
			walk(where+"/"+key, below)
		}
	}
	walk("", schema)
}
