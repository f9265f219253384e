package charts

import (
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

// The network policy selects all pods of the release, and allows egress to the stores.
func TestNetworkPolicy(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r release) {
		for name, p := range r.policies {
			selector := p.Spec.PodSelector
			pods := r.pods()
			want := map[string][]string{"demo-roomspa": {"deployment", "demo-roomspa-check"}, "demo-roomspa-migrate": {"job"}}[name]
			for kind, pod := range pods {
				if got := selects(t, &selector, pod.Labels); got != slices.Contains(want, kind) {
					t.Errorf("policy %s selects the pods of %s: %v", name, kind, got)
				}
			}
			if len(p.Spec.PolicyTypes) != 2 || len(p.Spec.Egress) < 2 {
				t.Errorf("policy %s: %+v, want both directions and a way to the stores", name, p.Spec)
			}
		}
	})
	p := render(t, matrix["a network policy"]).policies["demo-roomspa"]
	if len(p.Spec.Ingress) != 1 || p.Spec.Ingress[0].Ports[0].Port.IntValue() != 8000 || p.Spec.Ingress[0].From != nil {
		t.Errorf("ingress %+v, want port 8000 alone, from anybody", p.Spec.Ingress)
	}
	strict := render(t, matrix["a strict network policy"]).policies["demo-roomspa"]
	if len(strict.Spec.Ingress) != 2 || len(strict.Spec.Ingress[0].From) != 2 || len(strict.Spec.Ingress[1].From) != 1 {
		t.Errorf("ingress %+v, want clients and helm test on 8000, and one peer on 9090", strict.Spec.Ingress)
	}
	if got := strict.Spec.Egress[1]; got.Ports[0].Port.IntValue() != 6432 || got.To[0].IPBlock.CIDR != "10.0.0.0/8" {
		t.Errorf("egress %+v, want Postgres at the place that was given", got)
	}
}

// The ports follow from the values, and so do those of the migration.
func TestNetworkPolicyFollowsTheValues(t *testing.T) {
	t.Parallel()
	for values, want := range map[string][2]string{ // of replicas and of the migration
		"":                                   {"53 53 5432 6379 6380", "53 53 5432"},
		"options: {jwks: 'https://i.org/k'}": {"53 53 5432 6379 6380 443", "53 53 5432 443"},
		"options: {jwks: 'https://i.org:8443/k'}":                         {"53 53 5432 6379 6380 8443", "53 53 5432 8443"},
		"options: {jwks: /vault/keys, origins: ['https://a.org:8443']}":   {"53 53 5432 6379 6380", "53 53 5432"},
		"options: {redis-mode: sentinel, redis-master-name: m}":           {"53 53 5432 6379 6380 26379", "53 53 5432"},
		"options: {database-pooler: pgbouncer}":                           {"53 53 5432 6432 6379 6380", "53 53 5432 6432"},
		"networkPolicy: {dns: {port: 5353}}":                              {"5353 5353 5432 6379 6380", "5353 5353 5432"},
		"networkPolicy: {redis: {ports: [7000]}}":                         {"53 53 5432 7000", "53 53 5432"},
		"networkPolicy: {extraEgress: [{ports: [{port: 8200}]}]}":         {"53 53 5432 6379 6380 8200", "53 53 5432 8200"},
		"extraEnv: [{name: HTTPS_PROXY, value: 'http://proxy:3128'}]":     {"53 53 5432 6379 6380 3128", "53 53 5432 3128"},
		"extraEnv: [{name: A, value: 'http://[::1]:4318/v1?b=c:9'}]":      {"53 53 5432 6379 6380 4318", "53 53 5432 4318"},
		"extraEnv: [{name: A, value: 'no-url:77'}, {name: B, value: ''}]": {"53 53 5432 6379 6380", "53 53 5432"},
		"extraEnv: [{name: ROOMSPA_DATABASE_URL, value: 'postgres://u:$(PW)@a:6543,b:7654,c/d'}]": {
			"53 53 5432 6379 6380 6543 7654 5432", "53 53 5432 6543 7654 5432",
		},
	} {
		if !strings.Contains(values, "networkPolicy") {
			values += "\nnetworkPolicy: {enabled: true}"
		} else {
			values = strings.Replace(values, "networkPolicy: {", "networkPolicy: {enabled: true, ", 1)
		}
		policies := render(t, strings.TrimSpace(values)).policies
		got := [2]string{ports(policies["demo-roomspa"]), ports(policies["demo-roomspa-migrate"])}
		if got != want {
			t.Errorf("%s: replicas and migration may reach %q, want %q", values, got, want)
		}
	}
	if to := render(t, "networkPolicy: {enabled: true, dns: {peers: [{podSelector: {}}]}}").policies["demo-roomspa"].Spec.Egress[0].To; len(to) != 1 {
		t.Errorf("DNS is asked at %v", to)
	}
}

// ports returns the ports that the pods of a policy may reach.
func ports(p *networkingv1.NetworkPolicy) string {
	var all []string
	for _, e := range p.Spec.Egress {
		for _, port := range e.Ports {
			all = append(all, port.Port.String())
		}
	}
	return strings.Join(all, " ")
}
