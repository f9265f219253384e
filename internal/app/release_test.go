package app_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// baseline is the release before this one as long as there is no tag: a commit that is old enough for replicas of it to run
// somewhere. A tag vN among the ancestors of HEAD takes its place; of several, the newest.
const baseline = "fbb35365c0e5d7f2631d012e72cc03497e24850d"

// previousRelease returns the commit of the release before this one, or skips the
// test where the history is not there.
func previousRelease(t *testing.T) string {
	t.Helper()
	if shallow, err := git(t, "rev-parse", "--is-shallow-repository"); err != nil || shallow != "false" {
		t.Skipf("the previous release cannot be built: this is no clone with its history (git says %q, %v); fetch it with git fetch --unshallow", shallow, err)
	}
	// From the parent: the tag of this very commit, where it has one, is this release.
	tag, err := git(t, "describe", "--tags", "--abbrev=0", "--match=v[0-9]*", "HEAD^")
	if err != nil {
		tag = baseline
	}
	commit, err := git(t, "rev-parse", "--verify", tag+"^{commit}")
	if err != nil {
		t.Fatalf("the previous release %s is not in this clone, which has its history: %v", tag, err)
	}
	return commit
}

// git runs a command of git in this repository, whoever owns it.
func git(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "safe.directory=*"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Logf("git %s: %v: %s", strings.Join(args, " "), err, &said)
	}
	return strings.TrimSpace(string(out)), err
}

// sourceOf unpacks a commit into a directory.
func sourceOf(t *testing.T, commit string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	archive := filepath.Join(dir, "source.tar")
	if _, err := git(t, "-C", "../..", "archive", "--output="+archive, commit); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	return dir
}
