package sandbox_test

import (
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

func TestManyStartsShareOneInitdb(t *testing.T) {
	dir := scratch(t)
	caches := filepath.Join(dir, "caches")
	t.Setenv("HOME", caches)
	t.Setenv("XDG_CACHE_HOME", caches)

	var starts sync.WaitGroup
	for i := range 3 {
		starts.Go(func() {
			p, err := sandbox.StartPostgres(limited(t), sandbox.PostgresOptions{
				Dir: filepath.Join(dir, strconv.Itoa(i)), Settings: sandbox.TestSettings(), QuickInit: true,
			})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := query(limited(t), p.URL("postgres"), "SELECT 'up'"); err != nil {
				t.Error(err)
			}
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	var clusters []string
	for _, pattern := range []string{"*/uid*", "*/*/uid*", "*/*/*/uid*"} {
		clusters = append(clusters, inDir(t, caches, pattern)...)
	}
	if len(clusters) != 1 {
		t.Errorf("clusters in the cache: %q, want one", clusters)
	}
}
