package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dump writes a backup of a database into the server's directory, with pg_dump, and returns its path. A later call for
// the same name replaces it.
func (p *Postgres) Dump(ctx context.Context, database, name string) (path string, err error) {
	dir := filepath.Join(p.dir, "backups")
	if err := errors.Join(os.MkdirAll(dir, 0o700), p.cluster.as.chown(dir)); err != nil {
		return "", fmt.Errorf("make a directory for backups: %w", err)
	}
	path = filepath.Join(dir, name+".dump")
	if out, err := p.cluster.run(ctx, p.cluster.tools.path("pg_dump"), "--format=custom", "--file="+path, "--dbname="+p.URL(database)); err != nil {
		return "", fmt.Errorf("back up database %q: %w: %s", database, err, out)
	}
	return path, nil
}

// Restore puts a backup of Dump in the place of what the database contains, with pg_restore, in one transaction. The
// database keeps its identity, and its connections stay open. If it deadlocks with one of them it has changed nothing, and
// tries again.
func (p *Postgres) Restore(ctx context.Context, database, path string) error {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		out, err := p.cluster.run(ctx, p.cluster.tools.path("pg_restore"), "--clean", "--if-exists", "--single-transaction", "--exit-on-error",
			"--dbname="+p.URL(database), path)
		switch {
		case err == nil:
			return nil
		case attempt == attempts || !strings.Contains(string(out), "blocked by process"):
			return fmt.Errorf("restore database %q: %w: %s", database, err, out)
		}
	}
}
