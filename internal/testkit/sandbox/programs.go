package sandbox

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// tools is a directory of programs, with the environment that they need.
type tools struct {
	dir string
	env []string
}

func (t tools) path(program string) string { return filepath.Join(t.dir, program) }

// findPostgres returns a directory that contains both initdb and postgres.
func findPostgres() (tools, error) {
	return find([]string{"initdb", "postgres"}, "postgresql")
}

func findRedis() (tools, error) { return find([]string{"redis-server"}, "redis-server") }

// find searches PATH, the directories of common packages, and the tree that `make deps` unpacks. debian is the name of
// the package to recommend.
func find(programs []string, debian string) (tools, error) {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	dirs = append(dirs, byVersion("/usr/lib/postgresql/*/bin")...)
	for _, brew := range []string{"/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew"} {
		dirs = append(dirs, filepath.Join(brew, "bin"))
		dirs = append(dirs, byVersion(brew+"/opt/postgresql@*/bin")...)
	}
	deps := os.Getenv("ROOMSPA_DEPS")
	if deps != "" {
		if abs, err := filepath.Abs(deps); err == nil {
			deps = abs
		}
		dirs = append(dirs, filepath.Join(deps, "usr/bin"))
		dirs = append(dirs, byVersion(deps+"/usr/lib/postgresql/*/bin")...)
	}
	for _, dir := range dirs {
		if dir, ok := hasPrograms(dir, programs); ok {
			t := tools{dir: dir, env: cleanEnviron()}
			if deps != "" && strings.HasPrefix(dir, realPath(deps)+string(filepath.Separator)) {
				t.env = append(t.env, "LD_LIBRARY_PATH="+strings.Join(libraries(realPath(deps)), ":"))
			}
			return t, nil
		}
	}
	return tools{}, fmt.Errorf(`%s not found: run "make deps" or install it (Debian: apt-get install %s)`, strings.Join(programs, " and "), debian)
}

// hasPrograms reports whether dir contains all programs. It returns the real directory of the first one, where the
// programs of Postgres look for each other.
func hasPrograms(dir string, programs []string) (string, bool) {
	if !filepath.IsAbs(dir) {
		return "", false
	}
	if exact, err := filepath.EvalSymlinks(filepath.Join(dir, programs[0])); err == nil && filepath.Base(exact) == programs[0] {
		dir = filepath.Dir(exact)
	}
	for _, program := range programs {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err != nil {
			return "", false
		}
	}
	return dir, true
}

func realPath(path string) string {
	if exact, err := filepath.EvalSymlinks(path); err == nil {
		return exact
	}
	return path
}

// byVersion expands a pattern of directories whose names contain a version, the highest version first.
func byVersion(pattern string) []string {
	dirs, _ := filepath.Glob(pattern)
	version := func(dir string) float64 {
		name := filepath.Base(filepath.Dir(dir))
		v, _ := strconv.ParseFloat(name[strings.LastIndexByte(name, '@')+1:], 64)
		return v
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	return dirs
}

func libraries(deps string) []string {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	multiarch := cmp.Or(arch, runtime.GOARCH) + "-linux-gnu"
	return []string{
		filepath.Join(deps, "usr/lib", multiarch), filepath.Join(deps, "lib", multiarch),
		filepath.Join(deps, "usr/lib"), filepath.Join(deps, "lib"),
	}
}

// cleanEnviron returns our environment without variables that change the behaviour of a server or the language of its
// log.
func cleanEnviron() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "PG") || strings.HasPrefix(v, "LC_") || strings.HasPrefix(v, "LANG")
	})
	return append(env, "LC_ALL=C")
}
