package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// A mutant is a change of one source file that breaks a guarantee.
type mutant struct {
	name      string
	guarantee string // number of the broken promise in docs/guarantees.md, or security
	effect    string // what the broken code does, as a sentence

	file  string // relative to the repository
	edits []edit
	tests []test // each of them must fail
}

// An edit replaces one text. Old must occur exactly once in the file.
type edit struct{ old, new string }

// A test is one test function that must catch a mutant.
type test struct {
	dir  string // of the package, relative to the repository
	name string
}

// find returns the mutants whose name contains part.
func find(part string) []mutant {
	var found []mutant
	for _, m := range mutants {
		if strings.Contains(m.name, part) {
			found = append(found, m)
		}
	}
	return found
}

// source returns the changed text of the file.
func (m mutant) source(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return "", fmt.Errorf("mutant %s: %w\nUpdate the row in tools/mutants/rows.go", m.name, err)
	}
	changed := string(text)
	for _, e := range m.edits {
		if changed, err = replace(changed, e.old, e.new); err != nil {
			return "", fmt.Errorf("mutant %s: %s: %w\nUpdate the row in tools/mutants/rows.go", m.name, m.file, err)
		}
	}
	return changed, nil
}

// replace returns text with the only occurrence of old replaced by new.
func replace(text, old, with string) (string, error) {
	switch n := strings.Count(text, old); {
	case old == with:
		return "", errors.New("old and new text are the same")
	case n == 0:
		return "", fmt.Errorf("old text not found:\n%s", old)
	case n > 1:
		return "", fmt.Errorf("old text found %d times, want once:\n%s", n, old)
	}
	return strings.Replace(text, old, with, 1), nil
}

// overlay writes the changed file and the argument of "go build -overlay" into
// dir. It returns the name of the latter.
func (m mutant) overlay(root, dir string) (string, error) {
	text, err := m.source(root)
	if err != nil {
		return "", err
	}
	changed := filepath.Join(dir, m.name+path.Ext(m.file))
	if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(root, m.file): changed},
	})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, m.name+".json")
	return name, os.WriteFile(name, list, 0o600)
}

// check reports whether the mutant applies, passes go vet, and names tests that
// exist.
func (m mutant) check(ctx context.Context, root, dir string) error {
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return err
	}
	if out, err := command(ctx, root, "go", "vet", "-overlay", overlay, "./"+path.Dir(m.file)); err != nil {
		return fmt.Errorf("mutant %s: go vet: %w\n%s", m.name, err, out)
	}
	for _, t := range m.tests {
		if err := t.check(root); err != nil {
			return fmt.Errorf("mutant %s: %w", m.name, err)
		}
	}
	return nil
}

// check reports whether the package has the test.
func (t test) check(root string) error {
	files, err := filepath.Glob(filepath.Join(root, t.dir, "*_test.go"))
	if err != nil {
		return err
	}
	function, _, _ := strings.Cut(t.name, "/")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "\nfunc "+function+"(") {
			return nil
		}
	}
	return fmt.Errorf("%s has no %s\nUpdate the row in tools/mutants/rows.go", t.dir, function)
}
