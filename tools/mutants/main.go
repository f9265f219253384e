// Command mutants checks that the tests notice when a guarantee is broken. Each
// mutant is a row of the table in rows.go: a change of one source file, and the
// tests that must fail with it. The source tree itself is not changed: the go
// command reads the changed file from an overlay in a temporary directory.
//
// Run it in the directory tools:
//
//	go run ./mutants          runs the tests of all mutants
//	go run ./mutants NAME     runs those of the mutants whose name contains NAME
//	go run ./mutants -check   only checks that all rows apply and pass go vet
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "check that all rows apply and pass go vet; run no tests")
	root := flag.String("root", "..", "root of the repository")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *root, flag.Arg(0), *check)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, name string, check bool) error {
	list := find(name)
	if len(list) == 0 {
		return fmt.Errorf("no mutant's name contains %q; tools/mutants/rows.go lists all", name)
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	if check {
		var all error
		for _, m := range list {
			all = errors.Join(all, m.check(ctx, root, dir))
		}
		return all
	}

	r := runner{root: root, dir: dir, stderr: os.Stderr}
	if err := r.baseline(ctx, list); err != nil {
		return err
	}
	survived := 0
	fmt.Println("| mutant | caught by | how |")
	fmt.Println("| --- | --- | --- |")
	for _, m := range list {
		n, err := r.try(ctx, os.Stdout, m)
		if err != nil {
			return err
		}
		survived += n
	}
	if survived > 0 {
		return fmt.Errorf("%d tests did not catch their mutant", survived)
	}
	return nil
}
