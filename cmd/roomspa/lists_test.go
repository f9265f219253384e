package main

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/alecthomas/kong"
)

func TestBlanksAroundEntriesOfListsDoNotCount(t *testing.T) {
	t.Parallel()
	var c struct {
		Origins []string       `name:"origins"`
		Proxies []netip.Prefix `name:"proxies"`
		Whole   []string       `name:"whole" sep:"none"`
		Args    []string       `arg:"" optional:""`
	}
	parser, err := kong.New(&c, lists()...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse([]string{
		"--origins", "https://one.example.com, https://two.example.com ,", "--origins= *", "--proxies", "10.0.0.0/8, ::1/128", "--whole", " a, b", "x, y", "z",
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"https://one.example.com", "https://two.example.com", "*"}; !slices.Equal(c.Origins, want) {
		t.Errorf("origins %q", c.Origins)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}; !slices.Equal(c.Proxies, want) {
		t.Errorf("proxies %v", c.Proxies)
	}
	if !slices.Equal(c.Whole, []string{" a, b"}) || !slices.Equal(c.Args, []string{"x, y", "z"}) {
		t.Errorf("whole %q, arguments %q", c.Whole, c.Args)
	}
	if _, err := parser.Parse([]string{"--proxies", "10.0.0.0/8,nonsense"}); err == nil {
		t.Error("nonsense is a network")
	}
}

func TestServeKnowsTheFilesOfItsSecrets(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/secret"
	if err := os.WriteFile(file, []byte("postgres://user:password@host/name"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string {
		return map[string]string{"ROOMSPA_DATABASE_URL_FILE": file, "ROOMSPA_REDIS_URL_FILE": file, "ROOMSPA_OPS_TOKEN_FILE": file}[name]
	}
	var c commands
	parser, err := kong.New(&c, append(lists(), kong.DefaultEnvars("ROOMSPA_TEST"), kong.Vars{"ops": defaultOps}, kong.Resolvers(fromFiles(env)), kong.PostBuild(relax))...)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse([]string{"serve", "--redis-url=redis://given", "--jwt-secret=a secret of 32 bytes, which is enough"})
	if err != nil {
		t.Fatal(err)
	}
	files := secretFiles(parsed, env)
	if len(files) != 2 || files["database-url"] != file || files["ops-token"] != file {
		t.Errorf("files %v", files)
	}
}
