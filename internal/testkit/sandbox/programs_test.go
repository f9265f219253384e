package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMissingProgramSaysWhatToInstall(t *testing.T) {
	_, err := find([]string{"no-such-server"}, "no-such-package")
	want := `no-such-server not found: run "make deps" or install it (Debian: apt-get install no-such-package)`
	if err == nil || err.Error() != want {
		t.Errorf("error = %v\nwant    %s", err, want)
	}
}

func TestUnpackedTreeIsUsedWithItsLibraries(t *testing.T) {
	deps := realPath(t.TempDir())
	t.Setenv("ROOMSPA_DEPS", deps)
	plant(t, filepath.Join(deps, "usr/bin/some-redis"))
	for _, version := range []string{"9.6", "15", "17"} {
		plant(t, filepath.Join(deps, "usr/lib/postgresql", version, "bin/some-initdb"))
		plant(t, filepath.Join(deps, "usr/lib/postgresql", version, "bin/some-postgres"))
	}
	redis, err := find([]string{"some-redis"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(deps, "usr/bin"); redis.dir != want {
		t.Errorf("redis in %s, want %s", redis.dir, want)
	}
	if !slices.ContainsFunc(redis.env, func(v string) bool { return strings.HasPrefix(v, "LD_LIBRARY_PATH="+deps+"/usr/lib/") }) {
		t.Errorf("no LD_LIBRARY_PATH for the tree in %q", redis.env)
	}
	if os.Getenv("LD_LIBRARY_PATH") != "" {
		t.Error("LD_LIBRARY_PATH is set for this process too")
	}
	postgres, err := find([]string{"some-initdb", "some-postgres"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(deps, "usr/lib/postgresql/17/bin"); postgres.dir != want {
		t.Errorf("postgres in %s, want the newest, %s", postgres.dir, want)
	}
}

func TestDirectoryWithoutAllProgramsIsPassedOver(t *testing.T) {
	lone, links, whole := t.TempDir(), t.TempDir(), realPath(t.TempDir())
	plant(t, filepath.Join(lone, "some-initdb"))
	plant(t, filepath.Join(whole, "some-initdb"))
	plant(t, filepath.Join(whole, "some-postgres"))
	if err := os.Symlink(filepath.Join(whole, "some-initdb"), filepath.Join(links, "some-initdb")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", lone+":"+links)
	found, err := find([]string{"some-initdb", "some-postgres"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if found.dir != whole {
		t.Errorf("found %s, want %s, where the link leads", found.dir, whole)
	}
}

func plant(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestSocketDirectoryHasAShortPlainPath(t *testing.T) {
	for dir, want := range map[string]string{
		"/tmp/rs-1/pg/data":                "/tmp/rs-1/pg/data",
		"/tmp/with blank/data":             "",
		"/tmp/" + strings.Repeat("x", 100): "",
	} {
		if got := socketDir(dir); got != want {
			t.Errorf("socketDir(%q) = %q, want %q", dir, got, want)
		}
	}
}
