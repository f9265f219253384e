package charts

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// owned lists the options that cannot be set under `options`, beside the secrets. The
// chart's ports are fixed, a replica has the name of its pod, the shutdown has its own
// values, since the grace period depends on it, and so has classic-clients.
var owned = []string{"classic-clients", "listen", "ops-listen", "replica", "shutdown-wait", "drain-timeout", "flush-timeout", "grace-period"}

func TestEveryVariableIsAnOption(t *testing.T) {
	t.Parallel()
	byEnv := map[string]option{"SSL_CERT_FILE": {kind: "string"}} // read by Go
	for _, o := range readOptions(t) {
		byEnv[o.env()] = o
		if o.secret {
			byEnv[o.env()+"_FILE"] = option{kind: "string"}
		}
	}
	each(t, func(t *testing.T, r release) {
		for kind, pod := range r.pods() {
			seen := map[string]bool{}
			for _, v := range pod.Spec.Containers[0].Env {
				if seen[v.Name] {
					t.Errorf("%s: %s is there twice", kind, v.Name)
				}
				seen[v.Name] = true
				o, known := byEnv[v.Name]
				switch {
				case isClient(pod) || strings.HasPrefix(v.Name, "EXTRA_"): // no options of serve
				case !known:
					t.Errorf("%s: %s is not an option", kind, v.Name)
				case v.ValueFrom == nil && !o.takes(v.Value):
					t.Errorf("%s: %s=%q cannot be read as %s", kind, v.Name, v.Value, o.kind)
				}
			}
		}
	})
}

func TestOptionsBecomeVariables(t *testing.T) {
	t.Parallel()
	env := environment(render(t, matrix["options of every type"]).deployment.Spec.Template)
	for name, want := range map[string]string{
		"ROOMSPA_SOFT_LIMIT":      "2000000",
		"ROOMSPA_MESSAGE_RATE":    "0.5",
		"ROOMSPA_LOG_MASK":        "true",
		"ROOMSPA_PROXY_PROTOCOL":  "false",
		"ROOMSPA_TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8",
		"ROOMSPA_PING_INTERVAL":   "1m30s",
	} {
		if got := env[name].Value; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// The chart repeats some defaults of serve that Kubernetes needs too.
func TestDefaultsAreTheProducts(t *testing.T) {
	t.Parallel()
	options := readOptions(t)
	r := render(t, "")
	env := environment(r.deployment.Spec.Template)
	for _, name := range []string{"shutdown-wait", "drain-timeout", "flush-timeout"} {
		if got, want := env[options[name].env()].Value, options[name].fallback; got != want {
			t.Errorf("--%s: the chart's default is %s, the product's %s", name, got, want)
		}
	}
	ports := map[string]string{"http": "listen", "ops": "ops-listen"}
	for _, p := range r.deployment.Spec.Template.Spec.Containers[0].Ports {
		if got, want := ":"+strconv.Itoa(int(p.ContainerPort)), options[ports[p.Name]].fallback; got != want {
			t.Errorf("port %s is %s, the product listens on %s", p.Name, got, want)
		}
	}
	if want := options["ping-interval"].fallback; !strings.Contains(r.notes, "above "+want) {
		t.Errorf("the notes do not name the ping interval, %s:\n%s", want, r.notes)
	}
}

// The schema lists each option and its type, so that helm refuses what serve refuses.
func TestSchemaListsTheOptions(t *testing.T) {
	want := map[string]any{}
	for name, o := range readOptions(t) {
		switch {
		case slices.Contains(owned, name):
		case o.secret: // only in a file
			want[name+"-file"] = map[string]any{"type": []any{"string", "null"}}
		default:
			want[name] = o.schema(t)
		}
	}
	schema := readSchema(t)
	options := schema["properties"].(map[string]any)["options"].(map[string]any)
	if diff := cmp.Diff(want, options["properties"]); diff != "" && !*update {
		t.Fatalf("%s and app.Options differ (-want +got); run `go test . -update`:\n%s", schemaFile, diff)
	}
	options["properties"] = want
	writeSchema(t, schema)
}

func (o option) schema(t *testing.T) map[string]any {
	t.Helper()
	if o.enum != nil {
		values := []any{}
		for _, v := range o.enum {
			values = append(values, v)
		}
		return map[string]any{"enum": append(values, nil)}
	}
	orNull := func(kind string) map[string]any { return map[string]any{"type": []any{kind, "null"}} }
	switch o.kind {
	case "string":
		return orNull("string")
	case "int":
		return orNull("integer")
	case "float64":
		return orNull("number")
	case "bool":
		return orNull("boolean")
	case "time.Duration":
		return map[string]any{"$ref": "#/definitions/duration"}
	case "[]string", "[]netip.Prefix":
		list := orNull("array")
		list["items"] = map[string]any{"type": "string"}
		return list
	}
	t.Fatalf("--%s is a %s: teach the chart how to write one", o.name, o.kind)
	return nil
}

// takes reports whether serve can parse the text of the variable.
func (o option) takes(text string) bool {
	var err error
	switch o.kind {
	case "int":
		_, err = strconv.Atoi(text)
	case "float64":
		_, err = strconv.ParseFloat(text, 64)
	case "bool":
		_, err = strconv.ParseBool(text)
	case "time.Duration":
		_, err = time.ParseDuration(text)
	case "[]netip.Prefix":
		for part := range strings.SplitSeq(text, ",") {
			if _, bad := netip.ParsePrefix(part); bad != nil {
				err = bad
			}
		}
	}
	return err == nil && (o.enum == nil || slices.Contains(o.enum, text))
}
