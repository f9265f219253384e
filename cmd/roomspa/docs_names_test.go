package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/roomspa/roomspa/internal/frame"
)

// A vocabulary is what documents may name.
type vocabulary struct {
	model   *kong.Application
	flags   map[string]bool // of any command
	metrics map[string]bool
	targets map[string]bool // of make
	names   map[string]bool // tests and environment variables that the code knows
}

func newVocabulary(t *testing.T, files map[string]string) *vocabulary {
	t.Helper()
	var c commands
	parser, err := kong.New(&c, append(lists(), kong.Name("roomspa"), kong.DefaultEnvars("ROOMSPA"), kong.Vars{"version": version, "ops": defaultOps}, kong.PostBuild(relax))...)
	if err != nil {
		t.Fatal(err)
	}
	v := &vocabulary{model: parser.Model, flags: map[string]bool{}, metrics: map[string]bool{}, targets: map[string]bool{}, names: map[string]bool{}}
	_ = kong.Visit(v.model, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok {
			v.flags[f.Name] = true
			for _, e := range f.Envs {
				v.names[e], v.names[e+"_FILE"] = true, true
			}
		}
		return next(nil)
	})
	for name, text := range files {
		if !isDocument(name) {
			for _, n := range slices.Concat(variable.FindAllString(text, -1), testName.FindAllString(text, -1)) {
				v.names[n] = true
			}
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(roomspa_[a-z_]+)`").FindAllStringSubmatch(files["docs/metrics.md"], -1) {
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			v.metrics[m[1]+suffix] = true
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9]+):`).FindAllStringSubmatch(files["Makefile"], -1) {
		v.targets[m[1]] = true
	}
	return v
}

// foreign are flags of other programs that documents mention without their command.
var foreign = []string{"set", "reset-then-reuse-values", "wait"} // of helm

// TestDocumentsNameWhatExists looks up each command, flag, metric, environment variable, close
// code, make target, file and test that a document names. The changelog names the past too.
func TestDocumentsNameWhatExists(t *testing.T) {
	t.Parallel()
	files := repository(t)
	v := newVocabulary(t, files)
	looked := 0
	for name, text := range files {
		if !isDocument(name) || name == "CHANGELOG.md" {
			continue
		}
		for _, wrong := range slices.Concat(v.wrongCode(text, &looked), v.wrongWords(text, &looked)) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
	if looked < 1000 {
		t.Errorf("only %d names were looked up: the test looks in the wrong place", looked)
	}
}

// withoutScript are commands that run until somebody stops them. Tests of their packages run them.
var withoutScript = []string{"ctl top", "soak run", "soak check", "bench"}

func TestAScriptRunsEveryCommand(t *testing.T) {
	t.Parallel()
	files := repository(t)
	var scripts strings.Builder
	for name, text := range files {
		if strings.HasPrefix(name, "cmd/roomspa/testdata/") {
			scripts.WriteString(text)
		}
	}
	for _, leaf := range newVocabulary(t, files).model.Leaves(true) {
		run := regexp.MustCompile(`\broomspa ` + leaf.Path() + `\b`)
		if !run.MatchString(scripts.String()) && !slices.Contains(withoutScript, leaf.Path()) {
			t.Errorf("no script in cmd/roomspa/testdata runs roomspa %s", leaf.Path())
		}
	}
}

var (
	command  = regexp.MustCompile(`^(?:.* -- )?(?:\$ |! |exec |[A-Z_]+=\S+ )*(?:\S*/)?roomspa ([^|;&>#]+)`)
	makeCall = regexp.MustCompile(`^make ([a-z0-9]+)`)
	filePath = regexp.MustCompile(`^(?:internal|cmd|charts|k8s|clients|tools|e2e|docs|browser|examples)/[\w./-]*\w$`)
	option   = regexp.MustCompile(`(?:^|[^\w./])options\.([a-z][a-z-]+)`)
)

// wrongCode returns the names in code spans and code blocks of a document that do not exist.
func (v *vocabulary) wrongCode(text string, looked *int) (wrong []string) {
	var pieces []string
	for _, block := range fence.FindAllString(text, -1) {
		pieces = append(pieces, strings.Split(strings.ReplaceAll(block, "\\\n", " "), "\n")...)
	}
	for _, span := range inline.FindAllString(fence.ReplaceAllString(text, ""), -1) {
		pieces = append(pieces, strings.Trim(span, "`"))
	}
	for _, p := range pieces {
		p = strings.TrimSpace(p)
		*looked++
		if m := command.FindStringSubmatch(p); m != nil {
			call, _, _ := strings.Cut(m[1], ", or ")
			if w := v.wrongCommand(strings.Fields(call)); w != "" {
				wrong = append(wrong, p+": "+w)
			}
		}
		if m := makeCall.FindStringSubmatch(p); m != nil && !v.targets[m[1]] {
			wrong = append(wrong, "there is no make "+m[1])
		}
		if filePath.MatchString(p) {
			if _, err := os.Stat(filepath.Join(root, p)); err != nil {
				wrong = append(wrong, "there is no file "+p)
			}
		}
		if f := flagName(p); f != "" && !v.flags[f] && !slices.Contains(foreign, f) {
			wrong = append(wrong, "no command has the flag --"+f)
		}
		for _, m := range option.FindAllStringSubmatch(p, -1) {
			if !v.flags[strings.TrimSuffix(m[1], "-file")] && !v.flags[m[1]] {
				wrong = append(wrong, "serve has no option "+m[1])
			}
		}
	}
	return wrong
}

// flagName returns the name of the flag that a text begins with.
func flagName(text string) string {
	m := regexp.MustCompile(`^--([a-z][a-z0-9-]*)`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

// wrongCommand returns why the words after roomspa are no command of it, or "".
func (v *vocabulary) wrongCommand(words []string) string {
	node := v.model.Node
	for i, w := range words {
		if len(node.Children) == 0 || !regexp.MustCompile(`^[a-z]`).MatchString(w) {
			words = words[i:]
			break
		}
		at := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == strings.TrimRight(w, ",.") })
		if at < 0 {
			return "there is no command " + strconv.Quote(w)
		}
		node = node.Children[at]
	}
	for _, w := range words {
		name := flagName(w)
		has := func(f *kong.Flag) bool { return f.Name == name }
		if name != "" && !slices.ContainsFunc(slices.Concat(node.AllFlags(false)...), has) {
			return node.Name + " has no flag --" + name
		}
	}
	return ""
}

var (
	metric   = regexp.MustCompile(`\broomspa_[a-z0-9_]+[a-z0-9]\b`)
	variable = regexp.MustCompile(`\bROOMSPA_[A-Z0-9_]*[A-Z0-9]\b`)
	testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	closing  = regexp.MustCompile("\\b(1\\d{3}|4\\d{3})`? \\(?`([a-z_]+)`")
	appCodes = regexp.MustCompile(`\b40\d\d\b`)
)

// wrongWords returns the metrics and close codes in the whole text of a document that do not exist.
func (v *vocabulary) wrongWords(text string, looked *int) (wrong []string) {
	for _, m := range metric.FindAllString(text, -1) {
		if *looked++; !v.metrics[m] {
			wrong = append(wrong, "there is no metric "+m)
		}
	}
	for _, m := range slices.Concat(variable.FindAllString(text, -1), testName.FindAllString(text, -1)) {
		if *looked++; !v.names[m] {
			wrong = append(wrong, "the code does not know "+m)
		}
	}
	for _, m := range closing.FindAllStringSubmatch(text, -1) {
		code, _ := strconv.Atoi(m[1])
		known := func(r frame.Reason) bool { return r.Code == frame.StandardCode(code) && r.Word == m[2] }
		lost := m[1] == "1006" && m[2] == "abnormal" // which no frame announces
		if *looked++; !lost && !slices.ContainsFunc(frame.Reasons, known) {
			wrong = append(wrong, "nothing closes with "+m[0])
		}
	}
	for _, m := range appCodes.FindAllString(text, -1) {
		code, _ := strconv.Atoi(m)
		known := func(r frame.Reason) bool { return r.Code == frame.StandardCode(code) }
		if *looked++; !slices.ContainsFunc(frame.Reasons, known) {
			wrong = append(wrong, "there is no close code "+m)
		}
	}
	return wrong
}
