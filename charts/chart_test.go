package charts

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// matrix holds values that operators may set. Tests of what must hold for every release
// run on each of them.
var matrix = map[string]string{
	"apps of the predecessor": "{classicClients: true, options: {location-from: both}}",
	"the defaults":            "",
	"part of another chart":   "global: {imageRegistry: x}",
	"nothing runs":            "replicas: 0",
	"own image":               "{image: {repository: registry.example.com:5000/chat, tag: 1.2.3-rc.1, pullPolicy: Always, pullSecrets: [a, b]}}",
	"secrets of an operator":  "{secrets: {databaseURL: {name: pg-app, key: uri}, jwtSecret: {name: tokens, key: hs256.txt}}}",
	"a slow drain":            "shutdown: {waitSeconds: 15, drainSeconds: 300, flushSeconds: 20}",
	"a chosen grace period":   "shutdown: {gracePeriodSeconds: 31}",
	"no migrations":           "migrations: {enabled: false}",
	"an own service account":  "serviceAccountName: shared",
	"no limits":               "resources: {limits: null, requests: {cpu: 1, memory: 1Gi}}",
	"options of every type":   "{proxyIdleSeconds: 100, options: {soft-limit: 2000000, hard-limit: 3000000, message-rate: 0.5, log-mask: true, proxy-protocol: false, trusted-proxies: [10.0.0.0/8, fd00::/8], origins: ['https://a.example', 'https://b.example'], ping-interval: 1m30s, redis-mode: sentinel, redis-master-name: main, database-pooler: pgbouncer}}",
	"empty options":           "options: {origins: [], trusted-proxies: [], redis-prefix: ''}",

	"a key set in a Secret":            "secrets: {jwks: {name: keys, key: set.json}}",
	"a secret has changed":             "secrets: {revision: '2026-11-28'}",
	"a key set at a URL":               "{options: {jwks: 'https://id.example.com/keys', jwks-issuer: x}, networkPolicy: {enabled: true}}",
	"a short pause":                    "minReadySeconds: 0",
	"a token is mounted":               "serviceAccountToken: true",
	"placed":                           "{nodeSelector: {disk: ssd}, tolerations: [{key: chat, operator: Exists, effect: NoSchedule}], priorityClassName: high, spread: {zones: DoNotSchedule, nodes: ''}}",
	"placed nowhere":                   "spread: {zones: '', nodes: ''}",
	"annotated":                        "{podAnnotations: {reloader.stakater.com/auto: 'true', n: '1'}, podLabels: {team: chat}, service: {annotations: {a: b}, unready: true}}",
	"unready ones reachable":           "service: {unready: true, appProtocol: kubernetes.io/ws}",
	"an ingress":                       "ingress: {enabled: true, className: traefik, hosts: [a.example.com, b.example.com], tlsSecret: cert, annotations: {a: b}}",
	"an ingress for any host":          "ingress: {enabled: true}",
	"a route":                          "httpRoute: {enabled: true, parentRefs: [{name: public, namespace: gateways, sectionName: https}], hostnames: [chat.example.com]}",
	"a route with time-outs":           "httpRoute: {enabled: true, parentRefs: [{name: public}], timeouts: {request: 0s, backendRequest: 0s}, annotations: {a: b}}",
	"both ways in":                     "{ingress: {enabled: true, hosts: [a.example.com]}, httpRoute: {enabled: true, parentRefs: [{name: public}]}}",
	"an autoscaler":                    "autoscaling: {by: hpa}",
	"KEDA":                             "autoscaling: {by: keda, keda: {serverAddress: 'http://prometheus:9090', authentication: prom}}",
	"KEDA with own series":             "{autoscaling: {by: keda, keda: {serverAddress: 'http://prometheus:9090'}}, metrics: {selector: 'job=\"x\"'}}",
	"an autoscaler, no replicas given": "{autoscaling: {by: hpa, minReplicas: 3, maxReplicas: 40}, replicas: 0, databaseConnections: 1000}",
	"a large budget":                   "{replicas: 20, databaseConnections: 400}",
	"no disruption budget":             "disruptionBudget: {enabled: false, minAvailable: ''}",
	"some must stay":                   "disruptionBudget: {maxUnavailable: '', minAvailable: 1, unhealthyPodEvictionPolicy: AlwaysAllow}",
	"a share must stay":                "{replicas: 4, disruptionBudget: {maxUnavailable: '', minAvailable: '50%'}}",
	"one replica":                      "replicas: 1",
	"a network policy":                 "networkPolicy: {enabled: true}",
	"a strict network policy":          "{networkPolicy: {enabled: true, clients: [{namespaceSelector: {matchLabels: {name: ingress}}}], ops: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [prometheus]}]}}], postgres: {ports: [6432], peers: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}, redis: {ports: [6379, 26379], peers: []}}}",
	"no migrations, a policy":          "{migrations: {enabled: false}, networkPolicy: {enabled: true}}",
	"a pod monitor":                    "metrics: {scrape: podMonitor, labels: {release: prometheus}, interval: 30s}",
	"no scraping":                      "metrics: {scrape: ''}",
	"alerts":                           "{alerts: {enabled: true}, metrics: {labels: {release: prometheus}}}",
	"alerts and an autoscaler":         "{alerts: {enabled: true, runbook: 'https://wiki.example.com/chat', stormHandshakes: 9, attackLogins: 1}, autoscaling: {by: hpa}}",
	"alerts, nothing runs":             "{alerts: {enabled: true}, replicas: 0}",
	"a dashboard":                      "dashboard: {enabled: true, labels: {grafana: yes-please}}",
	"a dashboard, own series":          "{dashboard: {enabled: true}, metrics: {selector: 'job=\"x\",cluster=\"eu\"'}}",
	"test users":                       "test: {users: smoke, url: 'https://chat.example.com/'}",
	"a URL to test":                    "test: {url: 'https://chat.example.com'}",
	"a URL and an ingress":             "{test: {url: 'https://chat.example.com'}, ingress: {enabled: true, hosts: [a.example.com]}}",
	"no test from outside":             "{test: {url: none}, ingress: {enabled: true, hosts: [a.example.com]}}",
	"a route for a domain":             "httpRoute: {enabled: true, parentRefs: [{name: public}], hostnames: ['*.example.com']}",
	"hosts of both ways in":            "{ingress: {enabled: true, hosts: [a.example.com]}, httpRoute: {enabled: true, parentRefs: [{name: public}], hostnames: [b.example.com]}}",
	"maps emptied":                     "{podAnnotations: {}, nodeSelector: {}, options: {}, tolerations: [], resources: {limits: {}, requests: {}}, metrics: {labels: {}}, dashboard: {enabled: true, labels: {}}, service: {annotations: {}}, networkPolicy: {enabled: true, clients: [], ops: []}}",
	"scaling up left to Kubernetes":    "autoscaling: {by: hpa, behavior: {scaleUp: null}}",
	"never scaling down":               "autoscaling: {by: keda, keda: {serverAddress: 'http://p'}, behavior: {scaleDown: {policies: [], selectPolicy: Disabled}}}",
	"own labels and names":             "{commonLabels: {team: chat}, commonAnnotations: {owner: chat}, podLabels: {team: pods}, ingress: {enabled: true, annotations: {a: b}}}",
	"a digest":                         "image: {digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}",
	"a user id of the cluster":         "podSecurityContext: {runAsUser: null}",
	"secrets from an agent":            "{options: {database-url-file: /vault/db, redis-url-file: /vault/redis, jwt-secret-file: /vault/jwt, ops-token-file: /vault/ops}, secrets: {opsToken: {name: ops}}}",
	"an authority of a Secret":         "caCertificates: {secret: ca}",
	"an authority of a ConfigMap":      "caCertificates: {configMap: kube-root-ca.crt, key: bundle.pem}",
	"extra files and variables":        "{extraVolumes: [{name: x, emptyDir: {}}], extraVolumeMounts: [{name: x, mountPath: /x}], extraEnv: [{name: EXTRA_A, value: b}, {name: EXTRA_B, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]}",
	"placed by affinity":               "{affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone}]}}, dnsConfig: {options: [{name: ndots, value: '2'}]}}",
	"two IP families":                  "service: {ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6, IPv4], unready: true}",
	"annotations of each kind of pod":  "{podAnnotations: {a: b, mesh: 'on'}, migrations: {annotations: {j: k}, podAnnotations: {mesh: 'off'}, podLabels: {x: job}}, test: {podAnnotations: {mesh: test}, podLabels: {x: test}}}",
	"another autoscaler":               "autoscaling: {by: external}",
	"KEDA with metadata":               "autoscaling: {by: keda, keda: {serverAddress: 'http://p', authentication: prom, authenticationKind: ClusterTriggerAuthentication, metadata: {authModes: bearer, query: up}}}",
	"a load balancer":                  "service: {type: LoadBalancer, nodePort: 30080, spec: {loadBalancerClass: internal, externalTrafficPolicy: Local}, annotations: {a: b}, unready: true}",
	"paths of a shared host":           "{ingress: {enabled: true, hosts: [a.example.com], paths: [/ws/, /chat/]}, httpRoute: {enabled: true, parentRefs: [{name: public}], paths: [/ws/, /chat/]}}",
	"a policy that follows":            "{networkPolicy: {enabled: true, dns: {port: 5353}, extraEgress: [{ports: [{port: 8200, protocol: TCP}], to: [{namespaceSelector: {}}]}]}, options: {redis-mode: sentinel, redis-master-name: m, database-pooler: pgbouncer, jwks: 'https://id.example.com:8443/keys'}, extraEnv: [{name: EXTRA_PROXY, value: 'http://proxy:3128'}]}",
	"everything":                       everything,
}

const everything = `
image: {pullSecrets: [registry]}
secrets: {jwks: {name: keys}, revision: "1"}
options: {soft-limit: 15000, hard-limit: 16000, log-format: json}
serviceAccountName: shared
serviceAccountToken: true
podAnnotations: {a: b}
podLabels: {c: d}
nodeSelector: {disk: ssd}
tolerations: [{operator: Exists}]
priorityClassName: high
service: {unready: true, annotations: {e: f}}
ingress: {enabled: true, className: x, hosts: [a.example.com], tlsSecret: cert}
httpRoute: {enabled: true, parentRefs: [{name: public}], hostnames: [a.example.com]}
autoscaling: {by: keda, keda: {serverAddress: 'http://prometheus:9090', authentication: prom}}
networkPolicy: {enabled: true, clients: [{podSelector: {}}], ops: [{namespaceSelector: {}}]}
metrics: {scrape: podMonitor, labels: {release: prometheus}}
alerts: {enabled: true}
dashboard: {enabled: true}
test: {users: smoke, url: 'https://a.example.com'}
`

// each runs a test on each release of the matrix.
func each(t *testing.T, test func(t *testing.T, r release)) {
	for name, values := range matrix {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := render(t, values)
			r.token = strings.Contains(values, "serviceAccountToken: true")
			r.anyUser = strings.Contains(values, "runAsUser: null")
			test(t, r)
		})
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := templates("")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text := strings.TrimSpace(files[name]); text != "" {
			all.WriteString("--- # " + name + "\n" + text + "\n")
		}
	}
	const golden = "testdata/default.golden.yaml"
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), all.String()); diff != "" {
		t.Errorf("the default render changed (-want +got); if it should, run `go test . -update`:\n%s", diff)
	}
}

func TestAReplicaHasTimeToLeave(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r release) {
		env := environment(r.deployment.Spec.Template)
		var leaving time.Duration
		for _, name := range []string{"ROOMSPA_SHUTDOWN_WAIT", "ROOMSPA_DRAIN_TIMEOUT", "ROOMSPA_FLUSH_TIMEOUT"} {
			d, err := time.ParseDuration(env[name].Value)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			leaving += d
		}
		grace := r.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds
		if grace == nil || time.Duration(*grace)*time.Second <= leaving {
			t.Errorf("grace period %v, but leaving takes %v", grace, leaving)
		}
		if told, err := time.ParseDuration(env["ROOMSPA_GRACE_PERIOD"].Value); err != nil || grace == nil || told != time.Duration(*grace)*time.Second {
			t.Errorf("the replica is told of %v, %v, and has %v s", told, err, grace)
		}
	})
}

// A replica reads its memory limit; an option that sets it could differ from it.
func TestThereIsAMemoryLimit(t *testing.T) {
	t.Parallel()
	r := render(t, "")
	for _, name := range []string{"GOMEMLIMIT", "ROOMSPA_MEMORY_LIMIT"} {
		if v, told := environment(r.deployment.Spec.Template)[name]; told {
			t.Errorf("it is told %+v", v)
		}
	}
	if r.deployment.Spec.Template.Spec.Containers[0].Resources.Limits.Memory().IsZero() {
		t.Error("no memory limit by default")
	}
}

func TestTheImageIsTheNamedOne(t *testing.T) {
	t.Parallel()
	r := render(t, matrix["own image"])
	for kind, pod := range r.pods() {
		if got, want := pod.Spec.Containers[0].Image, "registry.example.com:5000/chat:1.2.3-rc.1"; got != want {
			t.Errorf("%s: image %s, want %s", kind, got, want)
		}
		if diff := cmp.Diff([]corev1.LocalObjectReference{{Name: "a"}, {Name: "b"}}, pod.Spec.ImagePullSecrets); diff != "" {
			t.Errorf("%s: pull secrets (-want +got):\n%s", kind, diff)
		}
	}
}

func TestAnUpdateAddsBeforeItTakesAway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r release) {
		u := r.deployment.Spec.Strategy.RollingUpdate
		if u == nil || *u.MaxSurge != intstr.FromInt32(1) || *u.MaxUnavailable != intstr.FromInt32(0) {
			t.Errorf("rolling update %+v, want surge 1 and unavailable 0", u)
		}
	})
}

func TestProbesAskTheOpsPort(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r release) {
		c := r.deployment.Spec.Template.Spec.Containers[0]
		for _, p := range []struct {
			name, path string
			probe      *corev1.Probe
		}{
			{"startup", "/livez", c.StartupProbe},
			{"liveness", "/livez", c.LivenessProbe},
			{"readiness", "/readyz", c.ReadinessProbe},
		} {
			if p.probe == nil || p.probe.HTTPGet == nil {
				t.Errorf("no %s probe over HTTP", p.name)
				continue
			}
			if get := p.probe.HTTPGet; get.Path != p.path || port(c, get.Port) != 9090 {
				t.Errorf("%s probe asks %s on port %v, want %s on 9090", p.name, get.Path, get.Port.String(), p.path)
			}
			if p.probe.TimeoutSeconds > p.probe.PeriodSeconds {
				t.Errorf("%s probe: time-out %d s above its period %d s", p.name, p.probe.TimeoutSeconds, p.probe.PeriodSeconds)
			}
		}
		// The worst case: the outage starts just after a probe, and the last probe times out.
		if p := c.ReadinessProbe; p.PeriodSeconds*p.FailureThreshold+p.TimeoutSeconds >= 15 {
			t.Errorf("unready after %d failures, %d s apart, of %d s each; want less than 15 s", p.FailureThreshold, p.PeriodSeconds, p.TimeoutSeconds)
		}
	})
}

func environment(pod corev1.PodTemplateSpec) map[string]corev1.EnvVar {
	env := map[string]corev1.EnvVar{}
	for _, v := range pod.Spec.Containers[0].Env {
		env[v.Name] = v
	}
	return env
}
