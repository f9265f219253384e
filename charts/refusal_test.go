package charts

import (
	"slices"
	"strings"
	"testing"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values string
		want   []string // parts of the message
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
		"a missing value in a list":     {"extraVolumes: [null]", []string{"/extraVolumes/0"}},
		"no time to flush":              {"shutdown: {flushSeconds: 0}", []string{"/shutdown/flushSeconds"}},
		"a grace period as long":        {"shutdown: {gracePeriodSeconds: 30}", []string{"shutdown.gracePeriodSeconds is 30", "above 30", "shutdown.drainSeconds"}},
		"a grace period of none":        {"shutdown: {gracePeriodSeconds: 0}", []string{"shutdown.gracePeriodSeconds is 0"}},
		"a drain longer than the grace": {"shutdown: {drainSeconds: 600, gracePeriodSeconds: 120}", []string{"shutdown.gracePeriodSeconds is 120", "above 610"}},

		"more connections than there are":  {"replicas: 6", []string{"replicas is 6", "112 connections", "databaseConnections, 97"}},
		"a pool too large":                 {"options: {database-max-connections: 40}", []string{"replicas is 2", "options.database-max-connections 40"}},
		"an autoscaler beyond the budget":  {"autoscaling: {by: hpa, maxReplicas: 6}", []string{"autoscaling.maxReplicas is 6", "databaseConnections"}},
		"pings as slow as the proxy":       {"proxyIdleSeconds: 25", []string{"options.ping-interval is 25s", "below proxyIdleSeconds, 25"}},
		"pings slower than the proxy":      {"options: {ping-interval: 1m30s}", []string{"options.ping-interval is 1m30s", "proxyIdleSeconds, 60"}},
		"a route without a gateway":        {"httpRoute: {enabled: true}", []string{"httpRoute.parentRefs"}},
		"a certificate for nobody":         {"ingress: {enabled: true, tlsSecret: x}", []string{"ingress.hosts"}},
		"two key sets":                     {"{options: {jwks: 'https://x'}, secrets: {jwks: {name: x}}}", []string{"options.jwks", "secrets.jwks.name"}},
		"an autoscaler of unknown kind":    {"autoscaling: {by: vpa}", []string{"/autoscaling/by", "keda"}},
		"a maximum below the minimum":      {"autoscaling: {by: hpa, minReplicas: 4, maxReplicas: 3}", []string{"autoscaling.maxReplicas is 3", "autoscaling.minReplicas, 4"}},
		"a target that is never reached":   {"autoscaling: {by: hpa, connectionsPerReplica: 18000}", []string{"autoscaling.connectionsPerReplica is 18000", "options.soft-limit, 18000"}},
		"no way down":                      {"autoscaling: {by: hpa, behavior: {scaleDown: null}}", []string{"autoscaling.behavior.scaleDown.policies"}},
		"no steps down":                    {"autoscaling: {by: keda, keda: {serverAddress: 'http://p'}, behavior: {scaleDown: {policies: []}}}", []string{"autoscaling.behavior.scaleDown.policies"}},
		"KEDA without Prometheus":          {"autoscaling: {by: keda}", []string{"autoscaling.keda.serverAddress"}},
		"one replica that must stay":       {"{replicas: 1, disruptionBudget: {maxUnavailable: '', minAvailable: 1}}", []string{"disruptionBudget.minAvailable is 1", "replicas"}},
		"half of one replica must stay":    {"{replicas: 1, disruptionBudget: {maxUnavailable: '', minAvailable: '50%'}}", []string{"disruptionBudget.minAvailable is 50%"}},
		"all must stay":                    {"disruptionBudget: {maxUnavailable: '', minAvailable: '100%'}", []string{"disruptionBudget.minAvailable is 100%"}},
		"the autoscaler's least must stay": {"{autoscaling: {by: hpa}, disruptionBudget: {maxUnavailable: '', minAvailable: 2}}", []string{"disruptionBudget.minAvailable is 2", "autoscaling.minReplicas"}},
		"nobody may leave":                 {"disruptionBudget: {maxUnavailable: 0}", []string{"disruptionBudget.maxUnavailable is 0"}},
		"nobody may leave, in percent":     {"disruptionBudget: {maxUnavailable: '0%'}", []string{"disruptionBudget.maxUnavailable is 0%"}},
		"a budget of two kinds":            {"disruptionBudget: {minAvailable: 1}", []string{"disruptionBudget.minAvailable", "disruptionBudget.maxUnavailable"}},
		"a budget of no kind":              {"disruptionBudget: {maxUnavailable: ''}", []string{"disruptionBudget.maxUnavailable and disruptionBudget.minAvailable are both empty"}},
		"an annotation that is a number":   {"podAnnotations: {a: 1}", []string{"/podAnnotations/a"}},
		"a peer of unknown kind":           {"networkPolicy: {clients: [{namespace: x}]}", []string{"/networkPolicy/clients/0", "namespace"}},
		"a variable that is set twice":     {"{extraEnv: [{name: ROOMSPA_LOG_LEVEL, value: a}], options: {log-level: info}}", []string{"ROOMSPA_LOG_LEVEL is set twice"}},
		"a variable of the chart":          {"{extraEnv: [{name: SSL_CERT_FILE, value: a}], caCertificates: {secret: ca}}", []string{"SSL_CERT_FILE is set twice"}},
		"two authorities":                  {"caCertificates: {secret: a, configMap: b}", []string{"caCertificates.secret", "caCertificates.configMap"}},
		"a path without a slash":           {"ingress: {paths: [ws]}", []string{"/ingress/paths/0"}},
		"no path":                          {"httpRoute: {paths: []}", []string{"/httpRoute/paths"}},
		"a digest of another kind":         {"image: {digest: 'md5:0123'}", []string{"/image/digest"}},
		"a name that is too long":          {"fullnameOverride: a-name-that-is-longer-than-the-names-that-kubernetes-takes", []string{"/fullnameOverride"}},
		"a family that does not exist":     {"service: {ipFamilies: [IPv5]}", []string{"/service/ipFamilies/0"}},
		"an affinity of unknown kind":      {"affinity: {pods: {}}", []string{"/affinity", "pods"}},
		"a Service of unknown type":        {"service: {type: Loadbalancer}", []string{"/service/type", "LoadBalancer"}},
		"a Service's selector":             {"service: {spec: {selector: {a: b}}}", []string{"/service/spec", "selector"}},
		"a constraint without a topology":  {"topologySpreadConstraints: [{maxSkew: 1, whenUnsatisfiable: DoNotSchedule}]", []string{"/topologySpreadConstraints/0", "topologyKey"}},
		"a registry that is no text":       {"global: {imageRegistry: 5}", []string{"/global/imageRegistry"}},
		"a time-out without unit":          {"httpRoute: {timeouts: {request: '30'}}", []string{"/httpRoute/timeouts/request"}},
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

// Each object of the schema must refuse unknown keys, or misspelled keys in it would be
// accepted.
func TestSchemaIsClosed(t *testing.T) {
	t.Parallel()
	schema := readSchema(t)
	var walk func(where string, node any)
	walk = func(where string, node any) {
		object, ok := node.(map[string]any)
		if !ok {
			return
		}
		kinds, _ := object["type"].([]any)
		if (object["type"] == "object" || slices.Contains(kinds, "object")) && object["additionalProperties"] != false && !isMap(object["additionalProperties"]) && where != "/properties/global" &&
			where != "/definitions/kubernetes" && where != "/definitions/named" {
			t.Errorf("%s takes any key", where)
		}
		for key, below := range object {
			walk(where+"/"+key, below)
		}
	}
	walk("", schema)
}

// isMap reports whether an object has arbitrary keys with typed values, as labels have.
func isMap(additional any) bool {
	schema, ok := additional.(map[string]any)
	return ok && schema["type"] != nil
}
