package app_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

const configurationHead = `# Configuration

<!-- Written by go generate ./internal/app from the struct tags of internal/app/options.go: edit those. -->

For operators: the options of ` + "`roomspa serve`" + `. Every option has a flag, an environment variable and a file variable that mean the same:
` + "`--redis-url URL`, `ROOMSPA_REDIS_URL=URL` and `ROOMSPA_REDIS_URL_FILE=/run/secrets/redis-url`" + `. The last one names a
file that holds the value (line breaks at its end do not count), which is how Kubernetes and Docker hand secrets over. Every
option can be read from a file like that; the table names the variable for those that are secrets.

A flag wins over a variable. A variable and its ` + "`_FILE`" + ` variant together are refused. There is no configuration file. While the
server runs, it reads the files of secrets and certificates, and the key set of ` + "`--jwks`" + `, again.

Durations are written as in ` + "`300ms`, `2s` or `168h`" + `. Lists are comma-separated. Switches take ` + "`true` or `false`" + ` from a variable.
Options marked **required** have no default. Secrets appear in no log, error or page.

| exit code | means |
| --- | --- |
| 0 | the server was asked to stop, and everything was flushed |
| 1 | it could not start (a port is taken, for instance), a listener failed, or not everything could be flushed in time |
| 2 | wrong usage: an unknown flag, a value that is missing or cannot work; the message names the option |

Postgres and Redis need not run at the start: until they do, ` + "`/readyz`" + ` is 503 and says why.
`

// TestGoldenConfiguration holds docs/configuration.md to the struct.
func TestGoldenConfiguration(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(configurationHead)
	group := ""
	options := reflect.TypeFor[app.Options]()
	for _, field := range optionFields(options) {
		tag := field.Tag
		name, help := tag.Get("name"), tag.Get("help")
		if name == "" || help == "" || tag.Get("group") == "" || !strings.HasSuffix(help, ".") {
			t.Errorf("%s needs a name, a group, and a help that is a sentence", field.Name)
		}
		if tag.Get("group") != group {
			group = tag.Get("group")
			fmt.Fprintf(&b, "\n## %s\n\n| flag | environment | default | |\n| --- | --- | --- | --- |\n", group)
		}
		flag := "--" + name
		if p := tag.Get("placeholder"); p != "" {
			flag += " " + p
		}
		variable := "ROOMSPA_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		variables := "`" + variable + "`"
		// The variable of another option is not one for a file of this one's.
		if _, own := options.FieldByNameFunc(func(f string) bool { return f == strings.TrimSuffix(field.Name, "s")+"File" }); tag.Get("secret") != "" && !own {
			variables += ", `" + variable + "_FILE`"
		}
		def := ""
		switch _, required := tag.Lookup("required"); {
		case required:
			def = "**required**"
		case tag.Get("default") != "":
			def = "`" + tag.Get("default") + "`"
		case field.Type.Kind() == reflect.Bool:
			def = "`false`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", flag, variables, def, strings.ReplaceAll(help, "|", `\|`))
	}
	world.Golden(t, "../../docs/configuration.md", b.String())
}

// optionFields returns the fields that are options, those of embedded structs too.
func optionFields(options reflect.Type) (all []reflect.StructField) {
	for field := range options.Fields() {
		switch {
		case field.Anonymous:
			all = append(all, optionFields(field.Type)...)
		case field.Tag.Get("kong") != "-":
			all = append(all, field)
		}
	}
	return all
}
